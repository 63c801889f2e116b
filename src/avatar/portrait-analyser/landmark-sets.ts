/**
 * Indices into the 468-point face mesh (MediaPipe Face Mesh topology), each ring from the picture's left to its right
 * for an upright face seen from the front.
 */
export const UPPER_LIP_OUTER = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291] as const;
export const LOWER_LIP_OUTER = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291] as const;
export const UPPER_LIP_INNER = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308] as const;
export const LOWER_LIP_INNER = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308] as const;

/** The face's outline, closed, clockwise from the top of the forehead. */
export const FACE_OVAL = [
  10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136,
  172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
] as const;

/** One eye: both lid margins corner to corner, and the brow's lower and upper edge. */
export interface EyeLandmarks {
  readonly upperLid: readonly number[];
  readonly lowerLid: readonly number[];
  readonly browLower: readonly number[];
  readonly browUpper: readonly number[];
}

/** The eye on the picture's left, then the one on its right. */
export const EYES: readonly [EyeLandmarks, EyeLandmarks] = [
  {
    upperLid: [33, 246, 161, 160, 159, 158, 157, 173, 133],
    lowerLid: [33, 7, 163, 144, 145, 153, 154, 155, 133],
    browLower: [46, 53, 52, 65, 55],
    browUpper: [70, 63, 105, 66, 107],
  },
  {
    upperLid: [362, 398, 384, 385, 386, 387, 388, 466, 263],
    lowerLid: [362, 382, 381, 380, 374, 373, 390, 249, 263],
    browLower: [285, 295, 282, 283, 276],
    browUpper: [336, 296, 334, 293, 300],
  },
];

/** The fold from the nose's wing past the corner of the mouth, downward: on the picture's left, then on its right. */
export const NASOLABIAL_FOLDS = [
  [129, 203, 206, 216, 212],
  [358, 423, 426, 436, 432],
] as const;

export const LANDMARK_COUNT = 468;

/** Single points used by name. */
export const POINT = {
  foreheadTop: 10,
  chin: 152,
  noseBase: 2,
  noseRoot: 168,
  noseBridge: 197,
  outerEyeLeft: 33,
  outerEyeRight: 263,
  innerCornerLeft: 78,
  innerCornerRight: 308,
  upperLipMiddle: 13,
  lowerLipMiddle: 14,
  lowerLipOuterMiddle: 17,
  earLeft: 234,
  earRight: 454,
} as const;

/** Patches of plain skin: cheeks, beside the mouth, chin, forehead. */
export const SKIN_POINTS = [50, 280, 205, 425, 199, 151] as const;
