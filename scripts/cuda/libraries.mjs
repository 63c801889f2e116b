// Which shared libraries the CUDA provider needs, where they are, and where to get those that are missing.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';

/** The CUDA release in the names of NVIDIA's apt packages: one that the known providers run with. */
const APT_RELEASE = { 12: '12-8', 13: '13-0' };

/**
 * What is known of each library, by the name before `.so`. `apt` and `pypi` take the CUDA major version; `apt` names
 * are those of NVIDIA's own repository. What is not `required` serves operators that no pack has so far, or TensorRT.
 */
const CATALOGUE = {
  libcuda: { title: 'NVIDIA driver', driver: true, required: true },
  libcudart: {
    title: 'CUDA runtime',
    apt: (cuda) => `cuda-cudart-${APT_RELEASE[cuda]}`,
    pypi: { 12: 'nvidia-cuda-runtime-cu12', 13: 'nvidia-cuda-runtime' },
    required: true,
  },
  libcublas: {
    title: 'cuBLAS',
    apt: (cuda) => `libcublas-${APT_RELEASE[cuda]}`,
    pypi: { 12: 'nvidia-cublas-cu12', 13: 'nvidia-cublas' },
    required: true,
  },
  libcudnn: {
    title: 'cuDNN',
    apt: (cuda) => `libcudnn9-cuda-${cuda}`,
    pypi: { 12: 'nvidia-cudnn-cu12', 13: 'nvidia-cudnn-cu13' },
    required: true,
  },
  libcurand: {
    title: 'cuRAND',
    apt: (cuda) => `libcurand-${APT_RELEASE[cuda]}`,
    pypi: { 12: 'nvidia-curand-cu12', 13: 'nvidia-curand' },
    required: true,
  },
  libnvrtc: {
    title: 'NVRTC',
    apt: (cuda) => `cuda-nvrtc-${APT_RELEASE[cuda]}`,
    pypi: { 12: 'nvidia-cuda-nvrtc-cu12', 13: 'nvidia-cuda-nvrtc' },
    required: true,
  },
  libcufft: {
    title: 'cuFFT',
    apt: (cuda) => `libcufft-${APT_RELEASE[cuda]}`,
    pypi: { 12: 'nvidia-cufft-cu12', 13: 'nvidia-cufft' },
    required: false,
  },
  libnvinfer: {
    title: 'TensorRT',
    apt: () => 'libnvinfer10',
    pypi: { 12: 'tensorrt-cu12-libs', 13: 'tensorrt-cu13-libs' },
    required: false,
  },
  libnvonnxparser: {
    title: 'TensorRT',
    apt: () => 'libnvonnxparsers10',
    pypi: { 12: 'tensorrt-cu12-libs', 13: 'tensorrt-cu13-libs' },
    required: false,
  },
};
CATALOGUE.libcublasLt = CATALOGUE.libcublas;

/**
 * Opened by name while the provider runs, so `ldd` does not show them. cuDNN compiles kernels with NVRTC; TensorRT has a
 * provider of its own.
 */
const OPENED_AT_RUN_TIME = {
  12: ['libcudnn.so.9', 'libnvrtc.so.12', 'libcufft.so.11', 'libnvinfer.so.10', 'libnvonnxparser.so.10'],
  13: ['libcudnn.so.9', 'libnvrtc.so.13', 'libcufft.so.12', 'libnvinfer.so.10', 'libnvonnxparser.so.10'],
};

/** `libcudart.so.13` -> `libcudart`. */
const stem = (soname) => soname.split('.so')[0];

/** @returns {{title: string, driver?: boolean, required: boolean}} what the library is */
export function describe(soname) {
  return CATALOGUE[stem(soname)] ?? { title: 'system library', required: true };
}

/**
 * The lines of `ldd`: name, and path where the loader found the library.
 * @returns {{name: string, path: string | undefined}[]}
 */
export function parseLdd(output) {
  const libraries = [];
  for (const line of output.split('\n')) {
    const match = /^\s*(\S+) => (?:(\/\S.*?) \(0x[0-9a-f]+\)|not found)\s*$/.exec(line);
    if (match) libraries.push({ name: match[1], path: match[2] });
  }
  return libraries;
}

/** The lines of `ldconfig -p` for this processor: name -> path. The first of a name is the one the loader takes. */
export function parseLdconfig(output) {
  const paths = new Map();
  for (const line of output.split('\n')) {
    const match = /^\s*(\S+) \(([^)]*)\) => (\/.*)$/.exec(line);
    if (match?.[2].includes('x86-64') && !paths.has(match[1])) paths.set(match[1], match[3]);
  }
  return paths;
}

/** The CUDA major version that a provider was linked with; undefined where it is not linked with CUDA at all. */
export function cudaMajor(libraries) {
  const runtime = libraries.find(({ name }) => name.startsWith('libcudart.so.'));
  return runtime && Number(runtime.name.slice('libcudart.so.'.length).split('.')[0]);
}

/** Folders in the order they are searched; none twice, none empty (an empty one would mean the current folder). */
export function libraryPath(folders, existing = '') {
  return [...new Set([...folders, ...existing.split(':')])].filter((folder) => folder !== '').join(':');
}

/**
 * How to get the missing libraries.
 * @returns {{apt: string[], pypi: string[]}} packages; PyPI's with the version that has this very file name
 */
export function packagesFor(sonames, cuda) {
  const apt = new Set();
  const pypi = new Set();
  for (const soname of sonames) {
    const known = CATALOGUE[stem(soname)];
    if (!known?.pypi) continue;
    apt.add(known.apt(cuda));
    pypi.add(`${known.pypi[cuda]}==${soname.split('.so.')[1].split('.')[0]}.*`);
  }
  return { apt: [...apt], pypi: [...pypi] };
}

/** The version in the name of the file behind the link; PyPI's files have none, their package's folder has. */
export function versionOf(path) {
  const inName = /\.so\.(\d+\.\d[\d.]*)$/.exec(basename(realpathSync(path)));
  if (inName) return inName[1];
  const packages = Object.values(CATALOGUE[stem(basename(path))]?.pypi ?? {}).map((name) => name.replaceAll('-', '_'));
  const site = /^.*?-packages(?=\/)/.exec(path)?.[0];
  for (const entry of site ? readdirSync(site) : []) {
    const match = /^(.+)-([^-]+)\.dist-info$/.exec(entry);
    if (match && packages.includes(match[1])) return match[2];
  }
  return undefined;
}

/** Where CUDA's libraries usually lie although the loader does not look there. */
function likelyFolders(cuda) {
  const python = spawnSync('python3', ['-c', 'import json, sys; print(json.dumps(sys.path))'], { encoding: 'utf8' });
  const sites = python.status === 0 ? JSON.parse(python.stdout).filter((path) => path.endsWith('-packages')) : [];
  const wheels = sites.flatMap((site) => {
    const nvidia = join(site, 'nvidia');
    const parts = existsSync(nvidia) ? readdirSync(nvidia).map((name) => join(nvidia, name, 'lib')) : [];
    return [...parts, join(site, 'tensorrt_libs')];
  });
  const installed = readdirSync('/usr/local').filter((name) => name === 'cuda' || name.startsWith(`cuda-${cuda}`));
  const homes = process.env.CUDA_HOME ? [process.env.CUDA_HOME] : installed.map((name) => join('/usr/local', name));
  const toolkits = homes.map((home) => join(home, 'lib64'));
  // The last two: the driver's library under Windows' Linux, and in containers of NVIDIA's.
  return [...wheels, ...toolkits, '/usr/lib/wsl/lib', '/usr/local/nvidia/lib64'].filter(existsSync);
}

/** Whether the loader finds a library by its name, and where. */
function onLoaderPath(soname, searched) {
  for (const folder of searched.split(':')) {
    if (folder !== '' && existsSync(join(folder, soname))) return join(folder, soname);
  }
  for (const program of ['ldconfig', '/sbin/ldconfig']) {
    const { status, stdout } = spawnSync(program, ['-p'], { encoding: 'utf8' });
    if (status === 0) return parseLdconfig(stdout).get(soname);
  }
  return undefined;
}

/** @throws Error when ldd cannot be run or cannot read the file */
function ldd(file, searched) {
  const { status, error, stdout, stderr } = spawnSync('ldd', [file], {
    encoding: 'utf8',
    env: { ...process.env, LD_LIBRARY_PATH: searched },
  });
  if (error)
    throw new Error(`ldd cannot be run (${error.message}). It is part of glibc, which onnxruntime-node needs.`);
  if (status !== 0) throw new Error(`ldd ${file} failed: ${(stderr || stdout).trim()}`);
  return parseLdd(stdout);
}

/** The CUDA major version of a provider on disk. */
export function cudaMajorOf(provider) {
  return cudaMajor(ldd(provider, process.env.LD_LIBRARY_PATH ?? ''));
}

/**
 * Everything the provider needs, and where it is.
 * @returns {{libraries: {name: string, path: string | undefined}[], searched: string, hidden: string[]}} `searched` is
 *   the LD_LIBRARY_PATH with which these paths hold, `hidden` what is only found with it and not with the present one
 */
export function findLibraries(provider) {
  const existing = process.env.LD_LIBRARY_PATH ?? '';
  const look = (searched) => {
    const linked = ldd(provider, searched);
    const opened = OPENED_AT_RUN_TIME[cudaMajor(linked)] ?? [];
    return [...linked, ...opened.map((name) => ({ name, path: onLoaderPath(name, searched) }))];
  };
  const libraries = look(existing);
  const folders = likelyFolders(cudaMajor(libraries));
  const added = [];
  const hidden = [];
  for (const { name, path } of libraries) {
    const folder = path ? undefined : folders.find((candidate) => existsSync(join(candidate, name)));
    if (!folder) continue;
    added.push(folder);
    hidden.push(name);
  }
  const searched = libraryPath(added, existing);
  return { libraries: hidden.length > 0 ? look(searched) : libraries, searched, hidden };
}
