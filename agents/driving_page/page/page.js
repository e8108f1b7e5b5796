// The page: the connection, and what the server says put in its place. Everything it shows comes from the server.

import { Dialogs } from "./dialogs.js";
import { Hands } from "./hands.js";
import { Picture, WayBack } from "./picture.js";

const $ = (id) => document.getElementById(id);
const REPLACED = 4001, GONE_LONG_MS = 5000;
const HINTS = { ready: "Hold “drive” and steer with the pad", waiting: "drive on", ended: "Go back 1 s and drive it again, or choose another scene", paused: "Pause again to go on" };
const SHORT = ["real time", "latency", "picture"];

// A name of this tab, so that it gets its own place back when the connection was cut.
let viewer = sessionStorage.viewer;
const newName = () => { viewer = sessionStorage.viewer = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join(""); };
if (!viewer) newName();

let socket = null, driving = false, last = null, wait = 400, newest = 0, replayed = false;
const drawn = [];
const picture = new Picture($("picture"), $("stage"));
const wayBack = new WayBack($("moments"), (to_s) => order({ do: "back", to_s }));

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

// Whatever moves the car needs the wheel; the server says so too.
function order(message) {
  if (driving || message.do === "link" || message.do === "take seat") return send(message);
  if (!["let go", "touch", "pad"].includes(message.do)) tell("you are looking on: take the wheel to drive", true);
}

function press(what) {
  if (what === "help") return $("help").showModal();
  if (what === "hide instruments") { picture.path = !document.body.classList.toggle("bare"); return picture.draw(); }
  if (what === "branch") return order({ do: "branch" });
  return order({ do: "press", command: what });
}

const hands = new Hands(order, press);
const dialogs = new Dialogs(order, tell);
for (const button of document.querySelectorAll("[data-press]")) button.onclick = () => press(button.dataset.press);
// A button that keeps the keyboard would be pressed again by Space.
document.addEventListener("click", (event) => event.detail && event.target.closest("header button")?.blur());
$("seat").onclick = () => send({ do: driving ? "leave seat" : "take seat" });
addEventListener("hashchange", () => { replayed = false; replayLink(); });

// What this page itself has to say, for a moment.
let own = null, ownTimer = 0;
function tell(text, warning = false) {
  own = { text, warning };
  clearTimeout(ownTimer);
  ownTimer = setTimeout(() => { own = null; showNote(); }, 4000);
  showNote();
}

function showNote() {
  const busy = last?.busy && last.size ? { text: last.busy, busy: true } : null;
  const note = own ?? busy ?? last?.note;
  $("note").hidden = !note;
  if (note) Object.assign($("note"), { textContent: note.text, className: `card ${note.warning ? "warning" : note.busy ? "busy" : ""}` });
}

function connect() {
  const address = new URL("drive", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  address.hash = "";
  address.search = `?viewer=${viewer}`;
  const mine = socket = new WebSocket(address);
  mine.binaryType = "arraybuffer";
  mine.onopen = () => { wait = 400; newest = 0; };
  mine.onmessage = ({ data }) => { if (mine === socket) (typeof data === "string" ? letter(JSON.parse(data)) : broadcast(data)); };
  mine.onclose = async ({ code }) => {
    if (mine !== socket) return;
    if (code === REPLACED) newName();
    driving = false;
    document.body.dataset.driving = false;
    document.body.classList.add("cut");
    showBanner({ banner: "Connection lost", hint: "trying again" });
    setTimeout(connect, wait);
    wait = Math.min(2 * wait, GONE_LONG_MS);
    const answer = await fetch("scenes").catch(() => null);
    if (answer?.status === 401) showBanner({ banner: "Another token", hint: "The server was started anew: open the address that it has printed" });
  };
}

function letter(said) {
  if (said.is === "hello") { hands.learn(said.keys); dialogs.showKeys(said.keys, said.devices); document.body.classList.remove("cut"); }
  if (said.is === "seats") showSeats(said);
  if (said.is === "worlds") dialogs.worlds = said.worlds;
  if (said.is === "recordings") dialogs.showFiles(said.files);
  if (said.is === "branches") dialogs.showBranches(said);
  if (said.is === "link") dialogs.showLink(said.link);
  if (said.is === "refused") tell(said.why, true);
}

function showSeats({ driving: mine, free, viewers }) {
  driving = mine;
  document.body.dataset.driving = mine;
  document.body.classList.toggle("watching", !mine);
  const seat = $("seat");
  seat.hidden = mine && viewers < 2;
  seat.classList.toggle("take", !mine && free);
  seat.textContent = mine ? `you drive, ${viewers - 1} looking on` : free ? "Take the wheel" : `looking on, ${viewers} here`;
  seat.title = mine ? "Hand the wheel over" : "Take the wheel, if it is free";
}

function replayLink() {
  const link = new URLSearchParams(location.hash.slice(1)).get("drive");
  if (!link || replayed || !driving || !last?.size) return;
  replayed = true;
  history.replaceState(null, "", location.pathname);
  order({ do: "replay", link });
}

async function broadcast(data) {
  const size = new DataView(data).getUint32(0);
  const state = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)));
  newest = Math.max(newest, state.n);
  const mine = socket;
  const bitmap = data.byteLength > 4 + size ? await createImageBitmap(new Blob([new Uint8Array(data, 4 + size)], { type: "image/jpeg" })) : null;
  requestAnimationFrame(() => {
    if (mine !== socket) return;
    show(state, bitmap);
    // The server sends more once this is on the screen, and counts the latency up to here.
    send({ do: "seen", n: state.n });
  });
}

function show(state, bitmap) {
  last = state;
  if (bitmap) { drawn.push(performance.now()); while (drawn.length > 24) drawn.shift(); }
  picture.show(bitmap, state);
  showNote();
  const coarse = document.body.classList.contains("fingers") && HINTS[state.status];
  showBanner({ banner: state.banner, hint: coarse || state.hint });
  const { classList } = document.body;
  classList.toggle("recording", state.recording);
  classList.toggle("paused", state.status !== "");
  $("pause").textContent = state.status ? "Go on" : "Pause";
  $("rec").hidden = !state.recording;
  if (!state.size) return;
  dialogs.world ??= state.world;
  if (state.world !== document.body.dataset.world) dialogs.world = state.world;
  document.body.dataset.world = state.world;
  $("place").querySelector("b").textContent = state.place.world;
  $("place").querySelector("div").textContent = state.place.lines.join("\n");
  showNumbers(state.numbers);
  $("speed").querySelector("b").textContent = state.speed_kmh;
  // A steering wheel turns about sixteen times the front wheels' angle; here eight, as in the window.
  $("rim").setAttribute("transform", `rotate(${-8 * state.steering.degrees})`);
  $("ahead").setAttribute("transform", `rotate(${-8 * state.steering.next_degrees})`);
  $("wheel").querySelector("span").textContent = state.steering.words;
  for (const [name, share, asked] of state.pedals) {
    const bar = document.querySelector(`.pedal.${name}`);
    bar.querySelector("i").style.height = `${100 * share}%`;
    Object.assign(bar.querySelector("em").style, { bottom: `${100 * asked}%`, opacity: asked ? 1 : 0 });
  }
  wayBack.show(state);
  $("way").querySelector("span").textContent = `way back ${(state.kept_s.at(-1) - state.kept_s[0]).toFixed(0)} s`;
  replayLink();
}

function showNumbers(rows) {
  const span = drawn.at(-1) - drawn[0];
  const page = ["page", drawn.length > 1 && performance.now() - drawn.at(-1) < 1000 ? `${((drawn.length - 1) / span * 1000).toFixed(0)} fps` : "-", false];
  const table = $("numbers").firstElementChild;
  table.replaceChildren(...[page, ...rows].map(([name, value, warning]) => {
    const row = document.createElement("tr");
    row.className = SHORT.includes(name) ? "short" : "";
    row.append(Object.assign(document.createElement("td"), { textContent: name }), Object.assign(document.createElement("td"), { textContent: value, className: warning ? "warning" : "" }));
    return row;
  }));
}

function showBanner({ banner, hint }) {
  $("banner").hidden = !banner && !hint;
  $("banner").querySelector("b").textContent = banner ?? "";
  $("banner").querySelector("span").textContent = hint ?? "";
}

connect();
