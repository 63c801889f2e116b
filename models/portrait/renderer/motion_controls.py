"""From motion tokens to the renderer's controls: what the lips, brows, lids and the head do."""

import numpy as np

TOKENS = (
    "jaw open width round protrude lipclose tuck upper_raise lower_drop teeth tongue_tip tongue_out tongue_back stretch "
    "press speech voiced nasal brow_up brow_down squint smile blink_left blink_right gaze_x gaze_y pitch yaw roll "
    "shift_x shift_y"
).split()
# The sampler's tokens are scaled to about unit variance; the same numbers stand in pack.json.
TOKEN_SCALE = np.array([3.0] * 18 + [4.0] * 4 + [3.0] * 2 + [4.0] * 2 + [15.0] * 3 + [40.0] * 2, np.float32)

# Order of the analyser's field_expression (src/avatar/portrait-analyser/controls.ts, CONTROLS).
CONTROLS = (
    "jaw closeUpper closeLower pucker funnel stretch smile upperUp lowerDown press tuck browUp browDown squint"
).split()
# What the analyser's fields move per unit, in u (controls.ts: JAW_DROP, LIP_LIFT).
JAW_DROP = 0.16
LIP_LIFT = 0.072
# Gap between the lips at open = 1, in u: a relaxed /a/ (open .72-.78) then parts them by 13 mm.
WIDEST_GAP = 0.19
# Chin's drop at jaw = 1, in u.
JAW_REACH = 0.15

# How much of the lower lip goes in behind the upper teeth at tuck = 1, in u. The lips that were brought together over an
# open mouth overlap (lip-closing.ts: CLOSING_OVERLAP): that much more.
ROLL = 0.034
OVERLAP = 0.014

# What the fields can be driven to without folding over themselves.
LOW = {"width": -1.0, "gaze_x": -1.0, "gaze_y": -1.0}
HIGH = {"brow_up": 1.2, "smile": 1.1, "stretch": 1.2}
BOTH = {"pitch": 0.27, "yaw": 0.27, "roll": 0.3, "shift_x": 0.15, "shift_y": 0.15}


def read_tokens(b, motion):
    """Scaled tokens -> a dict of [1, 1] physical values, clamped."""
    low = [[LOW.get(n, -BOTH[n] if n in BOTH else 0.0) for n in TOKENS]]
    high = [[HIGH.get(n, BOTH.get(n, 1.0)) for n in TOKENS]]
    values = b.mul(motion, (1.0 / TOKEN_SCALE)[None])
    values = b.min(b.max(values, low), high)
    return dict(zip(TOKENS, b.op("Split", [values], outputs=len(TOKENS), axis=1)))


def expression_controls(b, t, upper_closing, tuck_raise):
    """Tokens -> ([1, K] controls in the analyser's order, jaw drop in u [1, 1], gap between the lips in u [1, 1], how much of
    the lower lip is rolled in, in u [1, 1])."""
    # Closed lips win over everything that parts them.
    parted = b.sub(1.0, t["lipclose"])
    tuck = b.mul(t["tuck"], parted)
    # The tucked lower lip (f, v) lies at the upper teeth, however far the jaw has dropped.
    loose = b.sub(1.0, b.mul(b.mul(tuck, tuck), 0.85))
    open_ = b.mul(b.mul(t["open"], parted), loose)
    # `open` is the gap that is seen; over a tucked lip the upper one rises to show the teeth on it.
    raised = b.mul(tuck, tuck_raise)
    gap = b.add(b.mul(open_, WIDEST_GAP), raised)
    # A jaw far lower than the lips part would stretch the lower lip; it follows them instead.
    jaw = b.mul(b.min(b.mul(t["jaw"], JAW_REACH), b.add(gap, 0.04)), loose)
    hint = b.mul(t["upper_raise"], b.clip(b.mul(open_, 4.0)))
    upper = b.add(b.add(b.mul(gap, 0.2), b.mul(hint, 0.02)), b.mul(raised, 0.8))
    # A photo with an open mouth shows where this upper lip goes when its mouth opens.
    upper = b.max(upper, b.mul(upper_closing, b.clip(b.mul(gap, 6.0))))
    lower = b.sub(b.sub(gap, jaw), upper)
    # An upper lip that was brought down to close the photo's own gap first goes back to where it was.
    returned = b.min(upper, upper_closing)
    close_upper = b.sub(1.0, b.div(returned, b.max(upper_closing, 1e-6)))
    narrow = b.max(b.mul(t["width"], -1.0), 0.0)
    wide = b.max(t["width"], 0.0)
    roll = b.mul(tuck, b.add(b.min(upper_closing, OVERLAP), ROLL))
    one = b.constant([[1.0]])
    values = {
        "jaw": b.mul(jaw, 1 / JAW_DROP),
        "closeUpper": close_upper,
        "closeLower": one,
        "pucker": b.clip(b.add(b.mul(t["round"], 0.6), b.mul(narrow, 0.18))),
        "funnel": b.mul(t["protrude"], 0.6),
        "stretch": b.add(b.mul(wide, 0.55), b.mul(t["stretch"], 0.45)),
        "smile": t["smile"],
        "upperUp": b.mul(b.sub(upper, returned), 1 / LIP_LIFT),
        "lowerDown": b.mul(lower, 1 / LIP_LIFT),
        "press": b.mul(b.mul(t["press"], t["lipclose"]), 0.8),
        "tuck": tuck,
        "browUp": t["brow_up"],
        "browDown": t["brow_down"],
        "squint": t["squint"],
    }
    return b.concat([values[name] for name in CONTROLS], 1), jaw, gap, roll


# How much each control brings out a shade (shading.ts, SHADES): folds beside the nose, the hollow under the lower lip.
SHADES = {
    "fold": {"smile": 1.0, "stretch": 0.4, "pucker": -0.2},
    "underLip": {"jaw": 0.35, "pucker": 0.6, "funnel": 0.3, "tuck": 0.8, "press": 0.5, "smile": -0.2},
}


def shade_strengths(b, expression):
    """Controls -> [1, shades], in the analyser's order."""
    table = np.array([[shade.get(name, 0.0) for shade in SHADES.values()] for name in CONTROLS], np.float32)
    return b.clip(b.matmul(expression, b.constant(table)), -0.3, 1.2)


def pose_coefficients(b, t):
    """Pitch, yaw, roll and shifts -> [1, 11]: rotation minus identity row by row, then the shifts."""
    angles = b.concat([t["pitch"], t["yaw"], t["roll"]], 1)
    terms = b.concat([b.constant([[1.0]]), b.op("Sin", [angles]), b.op("Cos", [angles])], 1)
    entry = np.zeros((7, 3, 3, 3), np.float32)
    ONE, SIN, COS = 0, 1, 4
    # Rows x right, y down, z away. Chin down: what is near the camera (z < 0) goes down.
    entry[ONE, 0, 0, 0] = entry[COS, 0, 1, 1] = entry[COS, 0, 2, 2] = 1
    entry[SIN, 0, 1, 2], entry[SIN, 0, 2, 1] = -1, 1
    # The face turns to the viewer's right: what is near goes right.
    entry[ONE, 1, 1, 1] = entry[COS + 1, 1, 0, 0] = entry[COS + 1, 1, 2, 2] = 1
    entry[SIN + 1, 1, 0, 2], entry[SIN + 1, 1, 2, 0] = -1, 1
    # Clockwise as seen, y being down.
    entry[ONE, 2, 2, 2] = entry[COS + 2, 2, 0, 0] = entry[COS + 2, 2, 1, 1] = 1
    entry[SIN + 2, 2, 0, 1], entry[SIN + 2, 2, 1, 0] = -1, 1
    turns = b.reshape(b.matmul(terms, b.constant(entry.reshape(7, 27))), (3, 3, 3))
    pitch, yaw, roll = b.op("Split", [turns], outputs=3, axis=0)
    turn = b.sub(b.matmul(roll, b.matmul(pitch, yaw)), np.eye(3, dtype=np.float32)[None])
    return b.concat([b.reshape(turn, (1, 9)), t["shift_x"], t["shift_y"]], 1)
