// Lips and eyes of a face from the points of its mesh. Lengths are in face units: the distance of the outer eye corners in
// the picture.

/** Pairs of points of MediaPipe's face mesh. */
const OUTER_EYES = [33, 263];
const INNER_LIPS = [
  [13, 14],
  [82, 87],
  [312, 317],
];
const MOUTH_CORNERS = [61, 291];
/** Upper and lower lid, twice, and the corners, of each eye. */
const EYES = [
  {
    lids: [
      [159, 145],
      [158, 153],
    ],
    corners: [33, 133],
  },
  {
    lids: [
      [386, 374],
      [385, 380],
    ],
    corners: [362, 263],
  },
];
const NOSE_TIP = 1;

/** @param landmarks 468 * 3, in pixels */
export function measureFace(landmarks) {
  const distance = ([a, b]) =>
    Math.hypot(landmarks[a * 3] - landmarks[b * 3], landmarks[a * 3 + 1] - landmarks[b * 3 + 1]);
  const meanDistance = (pairs) => pairs.reduce((sum, pair) => sum + distance(pair), 0) / pairs.length;
  const unit = distance(OUTER_EYES);
  return {
    unit,
    opening: meanDistance(INNER_LIPS) / unit,
    width: distance(MOUTH_CORNERS) / unit,
    /** How far the eyes are open, in widths of an eye. */
    eyes: EYES.reduce((sum, { lids, corners }) => sum + meanDistance(lids) / distance(corners), 0) / EYES.length,
    nose: [landmarks[NOSE_TIP * 3], landmarks[NOSE_TIP * 3 + 1]],
    mouth: [0, 1].map((axis) => (landmarks[61 * 3 + axis] + landmarks[291 * 3 + axis]) / 2),
    landmarks,
  };
}

/** Follows one face through consecutive pictures: where it was tells where to look. */
export class FaceTracker {
  #analyser;
  #mesh;
  #last;

  /** @param models `{analyser, mesh}` of `loadFaceModels` */
  constructor({ analyser, mesh }) {
    this.#analyser = analyser;
    this.#mesh = mesh;
  }

  /** `measureFace` of the picture, or undefined where no face is found. */
  async measure(picture) {
    if (this.#last) {
      const { landmarks, confidence } = await this.#mesh.measure(picture, detectionOf(this.#last));
      this.#last = confidence > 0.5 ? landmarks : undefined;
    }
    if (!this.#last) {
      const [face] = await this.#analyser.analyse(picture);
      this.#last = face?.landmarks;
    }
    return this.#last && measureFace(this.#last);
  }
}

/** What the face detector would have said of a face whose points are known. */
function detectionOf(landmarks) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < landmarks.length; i += 3) {
    left = Math.min(left, landmarks[i]);
    right = Math.max(right, landmarks[i]);
    top = Math.min(top, landmarks[i + 1]);
    bottom = Math.max(bottom, landmarks[i + 1]);
  }
  const eyes = OUTER_EYES.map((point) => ({ x: landmarks[point * 3], y: landmarks[point * 3 + 1] }));
  return { box: { x: left, y: top, width: right - left, height: bottom - top }, score: 1, eyes };
}
