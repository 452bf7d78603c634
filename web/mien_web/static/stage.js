// The picture, and on it the box around each face and where the head points.

const SVG = "http://www.w3.org/2000/svg";

export class Stage {
  constructor(canvas, overlay) {
    this.canvas = canvas;
    this.overlay = overlay;
    this.pen = canvas.getContext("2d", { alpha: false });
  }

  /** Draw a picture (ImageBitmap) and the readings made in that very frame. */
  show(picture, live) {
    if (this.canvas.width !== picture.width || this.canvas.height !== picture.height) {
      this.canvas.width = picture.width;
      this.canvas.height = picture.height;
    }
    this.pen.drawImage(picture, 0, 0);
    picture.close();
    // Boxes are in pixels of the camera's frame, which may be larger than the picture.
    this.overlay.setAttribute("viewBox", `0 0 ${live.width} ${live.height}`);
    this.overlay.replaceChildren(...live.readings.flatMap(drawn));
  }

  /** Forget the picture, so that nothing old can be taken for now. */
  clear() {
    this.pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.overlay.replaceChildren();
  }
}

/** Three zeros are the answer of a face finder that sees no turn (see mien.pose.turn). */
export function measured({ yaw, pitch, roll }) {
  return yaw !== 0 || pitch !== 0 || roll !== 0;
}

function drawn(reading) {
  const [x, y, w, h] = reading.box;
  const kind = reading.label ? "read" : "unread";
  const arm = Math.min(w, h) * 0.2;
  const round = arm * 0.5;
  const corner = (cx, cy, sx, sy) =>
    `M${cx} ${cy + sy * arm}V${cy + sy * round}Q${cx} ${cy} ${cx + sx * round} ${cy}H${cx + sx * arm}`;
  const box = corner(x, y, 1, 1) + corner(x + w, y, -1, 1)
    + corner(x, y + h, 1, -1) + corner(x + w, y + h, -1, -1);

  const frame = [
    element("path", { class: "box halo", d: box }),
    element("path", { class: `box ${kind}`, d: box }),
  ];
  if (!measured(reading.turn)) return frame;

  // Seen from the front, a nose of half a face's width would end here.
  const radians = Math.PI / 180;
  const fromX = x + w / 2;
  const fromY = y + h * 0.55;
  const toX = fromX + (w / 2) * Math.sin(reading.turn.yaw * radians);
  const toY = fromY - (w / 2) * Math.sin(reading.turn.pitch * radians);
  return [
    ...frame,
    element("path", { class: "nose", d: `M${fromX} ${fromY}L${toX} ${toY}` }),
    element("circle", { class: "tip", cx: toX, cy: toY, r: Math.max(3, w * 0.025) }),
  ];
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
