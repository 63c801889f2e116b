#!/bin/sh
# Everything from nothing to the two graphs; README.md says what must be installed.
set -eu

usage() {
  cat <<'TEXT'
Usage: train.sh DATA [MODELS]

Make audio_encoder.onnx and motion_generator.onnx from nothing: speak, build the data sets, train, export, check.

  DATA    folder for speech, data sets and checkpoints (about 3 GB; made if missing)
  MODELS  where the two graphs are written; default: DATA/models. Models/portrait is two folders up from here:
          run scripts/seal-pack.mjs on it afterwards.

A step whose result is in DATA already is passed over. Seeds are fixed.
Environment:
  PYTHON      python with torch, scipy and onnx           default: /usr/bin/python3 (Debian's packages)
  RUNTIME     python with torch, numpy, scipy, onnxruntime, for the last checks (left out where it has none);
                                                           default: $PYTHON
  SHARE       share of the utterances that are spoken          default: 1 (0.05 to try the chain)
  HEARD       hours of speech for the encoder              default: 6
  SEEN        hours of speech for the generator            default: 3
  ENCODER_STEPS, SETTLE_ENCODER_STEPS                      default: 11600, 2000
  GENERATOR_STEPS, SETTLE_GENERATOR_STEPS                  default: 2600, 1800
TEXT
}

case "${1:---help}" in -h | --help) usage; exit 0 ;; esac
data=$1
models=${2:-$data/models}
python=${PYTHON:-/usr/bin/python3}
runtime=${RUNTIME:-$python}
# Several threads are hardly faster, and their sums differ from run to run.
export OMP_NUM_THREADS=1
mkdir -p "$data" "$models"
data=$(cd "$data" && pwd)
models=$(cd "$models" && pwd)
cd "$(dirname "$0")"

# make FILE COMMAND...: run the command unless it has been done; FILE marks that.
make() {
  marker=$data/.done-$1
  shift
  [ -e "$marker" ] && return
  echo "== $*"
  "$python" "$@"
  touch "$marker"
}

make text text_pool.py --output "$data/text.json"
make speech synthesize.py --text "$data/text.json" --data "$data" --share "${SHARE:-1}"
make slow synthesize.py --text "$data/text.json" --data "$data" --share "${SHARE:-1}" --slow --seed 4
make heard build_dataset.py --utterances "$data/train" --output "$data/heard" --hours "${HEARD:-6}" --seed 21
make long train_encoder.py --dataset "$data/heard" --output "$data/long.pt" --steps 16000 --stop "${ENCODER_STEPS:-11600}"
make encoder train_encoder.py --dataset "$data/heard" --start "$data/long.pt" --output "$data/encoder.pt" \
  --steps "${SETTLE_ENCODER_STEPS:-2000}" --rate 6e-4 --seed 5
make seen build_dataset.py --utterances "$data/train" "$data/slow" --output "$data/seen" --hours "${SEEN:-3}" --seed 12
make lively train_generator.py --dataset "$data/seen" --encoder "$data/encoder.pt" --output "$data/lively.pt" \
  --steps 9000 --stop "${GENERATOR_STEPS:-2600}"
make generator train_generator.py --dataset "$data/seen" --encoder "$data/encoder.pt" --start "$data/lively.pt" \
  --output "$data/generator.pt" --steps "${SETTLE_GENERATOR_STEPS:-1800}" --rate 1.5e-3 --seed 2

echo "== export"
"$python" export_onnx.py --encoder "$data/encoder.pt" --generator "$data/generator.pt" --output "$models"
"$python" check_onnx.py --write --encoder "$data/encoder.pt" --generator "$data/generator.pt" \
  --expected "$data/check.npz"
if "$runtime" -c "import onnxruntime" 2>/dev/null; then
  "$runtime" check_onnx.py --models "$models" --expected "$data/check.npz"
  "$runtime" evaluate.py --models "$models" --test "$data/test" --utterances 118
else
  echo "No onnxruntime in $runtime: the graphs in $models were not checked."
fi
