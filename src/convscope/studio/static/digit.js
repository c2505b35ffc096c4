/** Two ways to make an image here: drawing a digit, and the camera. */
import { html } from "lit-html";
import { isCommand, made } from "convscope/elements";
import { cellAt, movedCell } from "convscope/focus";
import { boxOfCell, frame } from "convscope/light";
import { say, show } from "convscope/store";
import { TEXT } from "convscope/strings";
import { upload } from "convscope/pickers";

const CELLS = 28; // along each side, as in MNIST: the steps of the keyboard's cursor
const CELL = 10; // pixels of the drawing
const SIDE = CELLS * CELL;
const pad = made("div", "pad");
pad.tabIndex = 0;
pad.setAttribute("role", "application");
pad.setAttribute("aria-label", TEXT.padLabel(CELLS));
const canvas = made("canvas");
canvas.width = canvas.height = SIDE;
const mark = made("div", "mark");
pad.append(canvas, mark);
const line = made("p", "muted small", TEXT.padHelp);
line.setAttribute("aria-live", "polite");
/** Where the pen is, row and column in pixels; null where it does not draw. @type {number[]|null} */
let from = null;
/** The keyboard's cursor, a cell. */
let cursor = [CELLS / 2, CELLS / 2];

function clear() {
  const context = canvas.getContext("2d");
  if (!context) return;
  context.fillStyle = "#000";
  context.fillRect(0, 0, SIDE, SIDE);
}
clear();

const place = (event) => cellAt(event, canvas, SIDE, SIDE);

pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  frame(mark, null, CELLS, CELLS);
  from = place(event);
  stroke(from);
});
pad.addEventListener("pointermove", (event) => { if (event.buttons && from) stroke(place(event)); });
for (const end of ["lostpointercapture", "blur"]) pad.addEventListener(end, () => {
  if (from) line.textContent = TEXT.padHelp; // not "the pen draws"
  from = null;
});
pad.addEventListener("keydown", (event) => {
  if (isCommand(event)) return;
  const to = movedCell(event, cursor, CELLS, CELLS);
  if (!to && event.key !== " ") return;
  cursor = to ?? cursor;
  const [y, x] = cursor;
  const pixel = [(y + 0.5) * CELL, (x + 0.5) * CELL];
  if (!to && !event.repeat) from = from ? null : pixel;
  if (from) stroke(pixel);
  frame(mark, boxOfCell({ y, x }), CELLS, CELLS);
  line.textContent = TEXT.penAt(y, x, from);
  event.preventDefault();
});

function stroke(to) {
  const context = canvas.getContext("2d");
  if (!context || !from) return;
  context.strokeStyle = "#fff";
  context.lineWidth = 22;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(from[1], from[0]);
  context.lineTo(to[1] + 0.01, to[0]);
  context.stroke();
  from = to;
}

export function digitBody() {
  return html`<div class="pad-area">${pad}<div class="row">
    <button class="primary" @click=${() => canvas.toBlob((blob) => { if (blob) { show({ dialog: "" }); upload(blob, TEXT.drawnDigit); } }, "image/png")}>${TEXT.use}</button>
    <button @click=${clear}>${TEXT.clear}</button></div>${line}</div>`;
}

const video = made("video");
video.muted = true;
video.playsInline = true;
video.className = "camera";
video.setAttribute("aria-label", TEXT.camera);
/** What was asked for and is not given back yet. @type {Promise<MediaStream>|null} */
let asked = null;

/** Give the camera back, even where it is given later. */
export function endCamera() {
  asked?.then((stream) => stream.getTracks().forEach((track) => track.stop()), () => {});
  asked = null;
  video.srcObject = null;
}

export function cameraBody() {
  if (!asked) {
    const mine = asked = navigator.mediaDevices?.getUserMedia({ video: { width: 640, height: 480 } }) ?? Promise.reject(new Error());
    mine.then((stream) => {
      if (asked !== mine) return undefined;
      video.srcObject = stream;
      return video.play();
    }).catch(() => {
      if (asked !== mine) return; // the dialog was closed meanwhile
      endCamera();
      show({ dialog: "image" });
      say(TEXT.noCamera, "error");
    });
  }
  return html`<div class="pad-area">${video}<div class="row"><button class="primary" @click=${shoot}>${TEXT.takePicture}</button></div></div>`;
}

function shoot() {
  if (!video.videoWidth) return;
  const frame = made("canvas");
  frame.width = video.videoWidth;
  frame.height = video.videoHeight;
  frame.getContext("2d")?.drawImage(video, 0, 0);
  frame.toBlob((blob) => {
    show({ dialog: "" });
    if (blob) upload(blob, TEXT.photo);
  }, "image/png");
}
