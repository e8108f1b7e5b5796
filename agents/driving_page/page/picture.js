// The picture with the path on the road, and the way back, on canvases.

const ACCENT = "98 205 190", AMBER = "244 186 92", INK = "238 241 243";
const DASH_M = 1;

export class Picture {
  constructor(canvas, stage) {
    this.canvas = canvas;
    this.stage = stage;
    this.bitmap = null;
    this.path = true;
    new ResizeObserver(() => this.draw()).observe(stage);
  }

  // Size of the canvas: as large as the stage lets a picture of this shape be, in the screen's own pixels.
  fit(width, height) {
    const scale = Math.min(this.stage.clientWidth / width, this.stage.clientHeight / height);
    const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
    const dense = Math.min(window.devicePixelRatio || 1, 2);
    const [pw, ph] = [Math.round(w * dense), Math.round(h * dense)];
    if (this.canvas.width !== pw || this.canvas.height !== ph) Object.assign(this.canvas, { width: pw, height: ph });
    this.canvas.style.width = `${w}px`;
    this.canvas.style.height = `${h}px`;
    // The instruments lie on the picture, not beside it.
    document.body.style.setProperty("--beside", `${Math.floor((this.stage.clientWidth - w) / 2)}px`);
    document.body.style.setProperty("--over", `${Math.floor((this.stage.clientHeight - h) / 2)}px`);
  }

  show(bitmap, state) {
    if (bitmap) {
      this.bitmap?.close();
      this.bitmap = bitmap;
    }
    this.state = state;
    this.draw();
  }

  draw() {
    if (!this.bitmap || !this.state?.size) return;
    this.fit(...this.state.size);
    const pen = this.canvas.getContext("2d");
    pen.imageSmoothingEnabled = true;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.bitmap, 0, 0, this.canvas.width, this.canvas.height);
    if (!this.path) return;
    pen.save();
    pen.scale(this.canvas.width, this.canvas.width);
    pen.lineJoin = "round";
    if (this.state.lane) drawLane(pen, this.state.lane, this.state.braking ? AMBER : ACCENT);
    if (this.state.wheels) drawWheels(pen, this.state.wheels);
    pen.restore();
  }
}

function trace(pen, points) {
  pen.beginPath();
  points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
}

function drawLane(pen, lane, color) {
  const farthest = Math.max(lane.distances_m.at(-1), 1);
  for (let i = 0; i + 1 < lane.left.length; i++) {
    // It fades towards its end, which is the least certain.
    pen.fillStyle = `rgb(${color} / ${0.1 + 0.2 * (1 - lane.distances_m[i] / farthest)})`;
    trace(pen, [lane.left[i], lane.left[i + 1], lane.right[i + 1], lane.right[i]]);
    pen.fill();
  }
  pen.lineWidth = 0.0022;
  pen.strokeStyle = `rgb(${color} / 94%)`;
  for (const edge of [lane.left, lane.right]) { trace(pen, edge); pen.stroke(); }
  pen.strokeStyle = `rgb(${INK} / 67%)`;
  for (const mark of lane.marks) { trace(pen, mark); pen.stroke(); }
}

function drawWheels(pen, wheels) {
  pen.lineWidth = 0.002;
  pen.strokeStyle = `rgb(${INK} / 82%)`;
  for (const edge of [wheels.left, wheels.right]) {
    for (let i = 0; i + 1 < edge.length; i++) {
      if (Math.floor(wheels.distances_m[i] / DASH_M) % 2) continue;
      trace(pen, [edge[i], edge[i + 1]]);
      pen.stroke();
    }
  }
}

// The moments that can be returned to, newest at the right; a click goes back to one.
export class WayBack {
  constructor(canvas, goBack) {
    this.canvas = canvas;
    this.pointer = null;
    canvas.addEventListener("pointermove", (event) => { this.pointer = event.offsetX; this.draw(); });
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.draw(); });
    canvas.addEventListener("pointerdown", (event) => {
      const time = this.timeAt(event.offsetX);
      if (time !== null) goBack(time);
    });
  }

  show(state) {
    this.state = state;
    this.draw();
  }

  timeAt(x) {
    const { kept_s: kept, way_back_s: reach } = this.state ?? {};
    if (!kept?.length) return null;
    const wanted = kept.at(-1) - reach * (1 - x / this.canvas.clientWidth);
    return kept.reduce((best, time) => (Math.abs(time - wanted) < Math.abs(best - wanted) ? time : best));
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!this.state || !width) return;
    const dense = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * dense, height: height * dense });
    const pen = this.canvas.getContext("2d");
    pen.scale(dense, dense);
    const { kept_s: kept, way_back_s: reach } = this.state;
    const now = kept.at(-1) ?? 0, middle = height / 2, right = width - 5;
    const at = (time) => right - (right * (now - time)) / reach;
    pen.fillStyle = `rgb(${INK} / 25%)`;
    pen.fillRect(0, middle, right, 1);
    const chosen = this.pointer === null ? null : this.timeAt(this.pointer);
    for (const time of kept) {
      if (now - time > reach) continue;
      const long = Math.abs(time - Math.round(time)) < 1e-3;
      const half = time === chosen ? middle - 1 : long ? 6 : 2.5;
      pen.fillStyle = time === chosen ? `rgb(${INK})` : `rgb(${ACCENT})`;
      pen.fillRect(at(time) - 0.5, middle - half, time === chosen ? 2 : 1, 2 * half);
    }
    pen.fillStyle = `rgb(${INK})`;
    pen.beginPath();
    pen.arc(right, middle, 4, 0, 7);
    pen.fill();
  }
}
