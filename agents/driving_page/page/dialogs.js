// Choosing a scene or a photo, three drives of one moment, links and videos, help.

const $ = (id) => document.getElementById(id);
const FPS = 12;

function made(tag, words, attributes = {}) {
  const element = document.createElement(tag);
  if (words) element.textContent = words;
  return Object.assign(element, attributes);
}

export class Dialogs {
  constructor(say, tell) {
    this.say = say;
    this.tell = tell;
    this.world = null;
    this.worlds = [];
    $("open-scenes").onclick = () => this.openScenes();
    $("open-share").onclick = () => { this.say({ do: "link" }); $("share").showModal(); };
    $("open-help").onclick = () => $("help").showModal();
    $("branch").onclick = () => this.say({ do: "branch" });
    $("file").onchange = () => { if ($("file").files[0]) this.sendPhoto($("file").files[0]); $("file").value = ""; };
    $("copy").onclick = async () => {
      $("link").select();
      // Only pages with encryption or on this machine may write to the clipboard.
      try { await navigator.clipboard.writeText($("link").value); } catch { document.execCommand("copy"); }
      $("copy").textContent = "Copied";
      setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
    };
    for (const dialog of document.querySelectorAll("dialog")) {
      // A click beside a dialog closes it.
      dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    }
    this.drops();
    this.plays();
    // Pictures are drawn when they are first asked for: one after the other, those in sight first, and none once the
    // choice is made, so that they take neither the world's time nor the browser's few connections.
    this.wanted = [];
    this.near = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) {
        if (!isIntersecting) continue;
        this.near.unobserve(target);
        this.wanted.push(target);
      }
      this.fetchNext();
    });
    $("scenes").addEventListener("close", () => { this.wanted = []; });
  }

  // Scenes

  async openScenes() {
    $("scenes").showModal();
    const chosen = this.world;
    $("worlds").replaceChildren(...this.worlds.map((world) => {
      const pick = made("button", world.replace(/\/+$/, "").split("/").at(-1), { className: "pick", title: world });
      pick.setAttribute("role", "radio");
      pick.setAttribute("aria-checked", world === chosen);
      pick.onclick = () => { this.world = world; this.openScenes(); };
      return pick;
    }));
    const answer = await fetch("scenes");
    if (!answer.ok) return this.tell("the scenes could not be fetched", true);
    const choices = await answer.json();
    const groups = [["photo", "Your photos"], ["source", "This server's scenes"], ["builtin", "Built-in scenes"]];
    const parts = groups.map(([kind, title]) => {
      const tiles = choices.filter((choice) => choice.kind === kind).map((choice) => this.tile(choice));
      if (kind === "photo") tiles.unshift(this.addTile());
      const grid = made("div", "", { className: "grid" });
      grid.append(...tiles);
      return tiles.length ? [made("h3", title), grid] : [];
    });
    $("choices").replaceChildren(...parts.flat());
  }

  fetchNext() {
    if (this.fetching || !this.wanted.length) return;
    const picture = this.fetching = this.wanted.shift();
    picture.onload = picture.onerror = () => {
      picture.classList.toggle("drawn", picture.naturalWidth > 0);
      this.fetching = null;
      this.fetchNext();
    };
    picture.src = picture.dataset.src;
  }

  tile({ kind, which, label }) {
    const tile = made("button", "", { className: "tile" });
    const picture = made("img", "", { alt: "" });
    picture.dataset.src = `thumbnails/${kind}/${which}`;
    this.near.observe(picture);
    const view = made("div", "", { className: "view" });
    view.append(picture);
    tile.append(view, made("span", label));
    // The simulator knows its own scenes only.
    tile.disabled = kind !== "builtin" && this.world === "simulator";
    tile.onclick = () => {
      this.say({ do: "open", kind, which, world: this.world ?? "" });
      $("scenes").close();
    };
    return tile;
  }

  addTile() {
    const tile = made("button", "", { className: "tile add" });
    tile.append(made("b", "Your own photo"), made("small", "choose one"), made("small", "or drop it anywhere", { className: "mouse" }));
    tile.onclick = () => $("file").click();
    return tile;
  }

  drops() {
    let depth = 0;
    const hasFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    document.addEventListener("dragenter", (event) => { if (hasFile(event)) { depth++; $("drop").hidden = false; } });
    document.addEventListener("dragleave", (event) => { if (hasFile(event) && --depth <= 0) $("drop").hidden = true; });
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      $("drop").hidden = true;
      const file = event.dataTransfer?.files[0];
      if (file) this.sendPhoto(file);
    });
  }

  async sendPhoto(file) {
    this.tell(`sending ${file.name}`);
    let answer, said;
    try {
      answer = await fetch("photos", { method: "POST", body: file });
      said = await answer.json();
    } catch {
      return this.tell("the photo could not be sent: the server ended the connection", true);
    }
    if (!answer.ok) return this.tell(said.why ?? "the photo was refused", true);
    $("scenes").close();
    const world = this.world === "simulator" ? "" : this.world ?? "";
    return this.say({ do: "open", kind: "photo", which: said.photo, world });
  }

  // Three drives of one moment

  showBranches({ number, ways, width, height, columns }) {
    if (!ways.length) return $("branches").close();
    this.sheets = ways.map((way, index) => {
      const canvas = made("canvas", "", { width, height });
      const sheet = new Image();
      sheet.src = `branches/${number}/${index}`;
      const take = made("button", "Go on from here", { className: "pick", disabled: !way.frames });
      take.onclick = () => { this.say({ do: "go on", way: index }); $("branches").close(); };
      const card = made("div");
      card.append(canvas, made("b", way.name), made("em", way.ends && `ends: ${way.ends}`), take);
      return { canvas, sheet, frames: way.frames, columns, width, height, card };
    });
    $("ways").replaceChildren(...this.sheets.map((each) => each.card));
    if (!$("branches").open) $("branches").showModal();
    return undefined;
  }

  plays() {
    const begun = performance.now();
    const play = (now) => {
      requestAnimationFrame(play);
      if (!$("branches").open || !this.sheets) return;
      // All three in step; a shorter one stands at its end until the longest is through.
      const longest = Math.max(...this.sheets.map((each) => each.frames)) + FPS / 2;
      const frame = Math.floor(((now - begun) / 1000) * FPS) % longest;
      for (const { canvas, sheet, frames, columns, width, height } of this.sheets) {
        const shown = Math.min(frame, frames - 1);
        if (!sheet.complete || !sheet.naturalWidth || shown < 0) continue;
        const [x, y] = [(shown % columns) * width, Math.floor(shown / columns) * height];
        canvas.getContext("2d").drawImage(sheet, x, y, width, height, 0, 0, width, height);
      }
    };
    requestAnimationFrame(play);
  }

  // Links, videos, help

  showLink(link) {
    $("link").value = `${location.origin}/#drive=${link}`;
  }

  showFiles(files) {
    const rows = files.filter((name) => name.endsWith(".mp4")).reverse().map((name) => {
      const row = made("div");
      const replay = name.replace(/mp4$/, "json");
      row.append(made("span", name), made("a", "video", { href: `recordings/${name}`, download: name }));
      if (files.includes(replay)) row.append(made("a", "replay file", { href: `recordings/${replay}`, download: replay }));
      return row;
    });
    $("files").replaceChildren(...(rows.length ? rows : [made("p", "None yet. Record makes one: press it, drive, press it again. To film a drive that is over, open its link and record.")]));
  }

  showKeys(keys, devices) {
    const own = { shown: "B", about: "three drives of this moment" };
    $("keys").replaceChildren(...[...keys, own].map(({ shown, about }) => {
      const row = made("div");
      row.append(made("dt", shown), made("dd", about));
      return row;
    }));
    const touch = ["Touch", "the pad on the left steers; pedals on the right, pressed harder the higher the finger is"];
    $("about-devices").textContent = [...devices, touch].map(([name, about]) => `${name}: ${about}`).join("\n");
  }
}
