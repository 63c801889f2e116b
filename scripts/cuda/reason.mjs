// Says in plain words why CUDA did not run.

/** What ONNX Runtime, the loader and the driver say, and what it means. The first that fits counts. */
const REASONS = [
  [
    /(libcuda\.so\.1): cannot open shared object file/,
    () => "NVIDIA's driver is not there: its library libcuda.so.1 is not on the loader's path.",
  ],
  [/(lib[\w-]+\.so[.\d]*): cannot open shared object file/, (name) => `${name} is not on the loader's path.`],
  [/version `(\w+_[\d.]+)' not found/, (name) => `this system's libraries are too old: they lack ${name}.`],
  [
    /CUDA failure 35\b|driver version is insufficient/,
    () => "NVIDIA's driver is missing or too old for this CUDA runtime.",
  ],
  [
    /CUDA failure 100\b|no CUDA-capable device/,
    () =>
      'the driver shows no GPU to this process (a container needs --gpus, and CUDA_VISIBLE_DEVICES must not hide it).',
  ],
  [/CUDA failure 209\b|no kernel image/, () => 'this build of ONNX Runtime has no code for this GPU.'],
  [/CUDA failure 2\b|CUDA error out of memory|out of memory/i, () => "the GPU's memory is full: see nvidia-smi."],
  [
    /CUDA failure 802\b/,
    () => 'the driver is not ready yet; on machines with NVSwitch the service nvidia-fabricmanager must run.',
  ],
  [
    /CUDA failure 803\b/,
    () => "the driver and its libraries are of different versions: a restart after the driver's update helps.",
  ],
  [
    /cuDNN is (?:not available|unavailable)|CUDNN_STATUS_\w+/i,
    () => 'cuDNN cannot be used: it is missing, of another version, or too new for this GPU.',
  ],
  [/fallback to CPU EP has been explicitly disabled/, () => 'CUDA does not take these operators; is cuDNN there?'],
];

/**
 * @param {string} text everything that the trial printed
 * @param {string} fallback what to say where nothing is recognised
 */
export function explain(text, fallback) {
  for (const [pattern, words] of REASONS) {
    const match = pattern.exec(text);
    if (match) return words(match[1]);
  }
  return fallback;
}
