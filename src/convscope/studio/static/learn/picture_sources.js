/** Pictures of the learner's own as grey values: a file, the camera. Nothing is sent. */

const LONGEST = 64; // pixels along the longer side

/** Return a picture that can be drawn as rows of grey values 0 to 255. @param {any} source @param {number} width @param {number} height */
function greyOf(source, width, height) {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(8, Math.round(width * scale));
  canvas.height = Math.max(8, Math.round(height * scale));
  const ink = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  ink.imageSmoothingQuality = "high";
  ink.fillStyle = "#fff";
  ink.fillRect(0, 0, canvas.width, canvas.height);
  ink.drawImage(source, 0, 0, canvas.width, canvas.height);
  const { data } = ink.getImageData(0, 0, canvas.width, canvas.height);
  return Array.from({ length: canvas.height }, (_, row) => Array.from({ length: canvas.width }, (__, column) => {
    const at = (row * canvas.width + column) * 4;
    return Math.round(data[at] * 0.299 + data[at + 1] * 0.587 + data[at + 2] * 0.114);
  }));
}

/** Why no camera is started, by the name of the browser's error; without `mediaDevices` it is a TypeError. @type {Object<string, string>} */
const REASONS = { NotAllowedError: "denied", NotFoundError: "none", NotReadableError: "in-use", TypeError: "insecure" };

/** Return why no camera is started, as the names of the texts end. @param {Error} error */
export const cameraProblem = ({ name }) => REASONS[name] ?? "other";

/** Return a picture file as grey values; rejects where the browser can't read it. @param {Blob} file */
export async function pictureOf(file) {
  const picture = await createImageBitmap(file);
  try {
    return greyOf(picture, picture.width, picture.height);
  } finally {
    picture.close();
  }
}

/**
 * Start the camera; rejects where there is none, or it is not allowed.
 * @param {(grey: number[][]) => void} seen called with each picture
 * @returns {Promise<() => void>} what stops it
 */
export async function startCamera(seen) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 320 }, height: { ideal: 240 } } });
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = stream;
  const end = () => {
    for (const track of stream.getTracks()) track.stop();
  };
  try {
    await video.play();
  } catch (problem) {
    end();
    throw problem;
  }
  let stopped = false;
  const look = () => {
    if (stopped) return;
    if (video.videoWidth) seen(greyOf(video, video.videoWidth, video.videoHeight));
    setTimeout(() => requestAnimationFrame(look), 60);
  };
  look();
  return () => {
    stopped = true;
    end();
  };
}
