// Keys, gamepads and fingers: the driver's input, sent to the server as it happens.

// The server's table of keys has the names that pygame gives them.
const NAMES = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", " ": "space", Backspace: "backspace", Tab: "tab", Home: "home", F1: "f1" };

export class Hands {
  constructor(say, press) {
    this.say = say;
    this.press = press;
    this.bindings = new Map();
    this.held = new Map();
    this.pads = new Map();
    document.addEventListener("keydown", (event) => this.keyDown(event));
    document.addEventListener("keyup", (event) => this.keyUp(event.code));
    window.addEventListener("blur", () => this.letGo());
    document.addEventListener("visibilitychange", () => document.hidden && this.letGo());
    this.touch();
    // Not at every picture of the screen: a hidden page draws none, and must still notice a pad that is let go.
    setInterval(() => this.readPads(), 16);
  }

  learn(keys) {
    this.bindings = new Map(keys.flatMap((binding) => binding.keys.map((name) => [name, binding])));
  }

  keyDown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
    if (document.querySelector("dialog[open]")) return;
    const name = NAMES[event.key] ?? event.key.toLowerCase();
    // Tab changes the world while the picture has the keyboard; on a button it goes to the next one.
    if (name === "tab" && (event.shiftKey || document.activeElement !== document.body)) return;
    if ((name === "space" || name === "enter") && document.activeElement?.matches("button")) return;
    if (name === "b" && !event.repeat) this.press("branch");
    const binding = this.bindings.get(name);
    if (!binding) return;
    event.preventDefault();
    if (event.repeat) return;
    if (!binding.held) return this.press(binding.does);
    this.held.set(event.code, binding.does);
    this.say({ do: "key", name: binding.does, down: true });
  }

  keyUp(code) {
    const direction = this.held.get(code);
    this.held.delete(code);
    // Arrow and letter may both be down.
    if (direction && ![...this.held.values()].includes(direction)) this.say({ do: "key", name: direction, down: false });
  }

  letGo() {
    if (!this.held.size && !this.fingers?.size) return;
    this.held.clear();
    this.fingers?.clear();
    this.sayTouch();
    this.say({ do: "let go" });
  }

  // The Gamepad API: a pad shows up once one of its buttons is pressed.
  readPads() {
    const round = (value) => Math.round(value * 500) / 500;
    const present = [...(navigator.getGamepads?.() ?? [])].filter((pad) => pad?.connected);
    for (const pad of present) {
      const order = {
        do: "pad", id: pad.id.slice(0, 150), standard: pad.mapping === "standard",
        axes: [...pad.axes].slice(0, 16).map(round), buttons: [...pad.buttons].slice(0, 32).map((b) => round(b.value)),
      };
      const text = JSON.stringify(order);
      if (this.pads.get(pad.id) === text) continue;
      this.pads.set(pad.id, text);
      this.say(order);
    }
    for (const id of this.pads.keys()) {
      if (present.some((pad) => pad.id === id)) continue;
      this.pads.delete(id);
      this.say({ do: "pad", id: id.slice(0, 150), standard: false, axes: [], buttons: [] });
    }
  }

  touch() {
    this.fingers = new Map();
    const wheel = document.getElementById("touch-wheel");
    const knob = wheel.querySelector("i");
    const ask = (pad, read, kind) => {
      const follow = (event) => {
        this.fingers.set(kind, read(event, pad.getBoundingClientRect()));
        pad.classList.add("held");
        this.sayTouch();
      };
      const end = () => {
        this.fingers.delete(kind);
        pad.classList.remove("held");
        this.sayTouch();
      };
      pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); follow(event); });
      pad.addEventListener("pointermove", (event) => pad.hasPointerCapture(event.pointerId) && follow(event));
      for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) pad.addEventListener(name, end);
      pad.addEventListener("contextmenu", (event) => event.preventDefault());
    };
    const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
    // Left is positive, as everywhere in the package.
    ask(wheel, (event, box) => clamp((box.left + box.width / 2 - event.clientX) / (0.42 * box.width), -1, 1), "steer");
    // A pedal is pressed the harder, the higher the finger is.
    const pedal = (event, box) => clamp(0.35 + 0.8 * (1 - (event.clientY - box.top) / box.height), 0.35, 1);
    ask(document.getElementById("touch-brake"), pedal, "brake");
    ask(document.getElementById("touch-throttle"), pedal, "throttle");
    this.moveKnob = () => { knob.style.translate = `${-(this.fingers.get("steer") ?? 0) * 0.34 * wheel.clientWidth}px 0`; };
    const fingers = () => document.body.classList.add("fingers");
    if (matchMedia("(pointer: coarse)").matches) fingers();
    window.addEventListener("touchstart", fingers, { once: true, passive: true });
  }

  sayTouch() {
    this.moveKnob();
    const at = (kind) => Math.round((this.fingers.get(kind) ?? 0) * 200) / 200;
    const order = { do: "touch", steer: at("steer"), throttle: at("throttle"), brake: at("brake") };
    const text = JSON.stringify(order);
    if (text === this.lastTouch) return;
    this.lastTouch = text;
    this.say(order);
  }
}
