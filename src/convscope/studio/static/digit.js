/** Two ways to make an image here: drawing a digit, and the camera. */
import { html } from "lit-html";
import { made } from "convscope/elements";
import { say, show } from "convscope/store";
import { TEXT } from "convscope/strings";
import { upload } from "convscope/pickers";

const SIDE = 280;
const canvas = made("canvas");
canvas.width = canvas.height = SIDE;
canvas.className = "pad";
canvas.setAttribute("role", "img");
canvas.setAttribute("aria-label", TEXT.padLabel);
/** @type {[number, number]|null} */
let from = null;

function clear() {
  const context = canvas.getContext("2d");
  if (!context) return;
  context.fillStyle = "#000";
  context.fillRect(0, 0, SIDE, SIDE);
}
clear();

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  from = place(event);
  stroke(from);
});
canvas.addEventListener("pointermove", (event) => { if (from) stroke(place(event)); });
canvas.addEventListener("lostpointercapture", () => { from = null; });

function stroke(to) {
  const context = canvas.getContext("2d");
  if (!context || !from) return;
  context.strokeStyle = "#fff";
  context.lineWidth = 22;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(to[0] + 0.01, to[1]);
  context.stroke();
  from = to;
}

export function digitBody() {
  return html`<div class="pad-area">${canvas}<div class="row">
    <button class="primary" @click=${() => canvas.toBlob((blob) => { if (blob) { show({ dialog: "" }); upload(blob, TEXT.drawnDigit); } }, "image/png")}>${TEXT.use}</button>
    <button @click=${clear}>${TEXT.clear}</button></div><p class="muted small">${TEXT.padHelp}</p></div>`;
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
