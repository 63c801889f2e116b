// ONNX Runtime's CUDA provider: three shared libraries that onnxruntime-node's npm package leaves out for their size.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { cudaMajorOf } from './libraries.mjs';

const CUDA_PROVIDER = 'libonnxruntime_providers_cuda.so';
/** The bridge between the runtime and its providers; and TensorRT's, for DEVICE=tensorrt. */
const REQUIRED = ['libonnxruntime_providers_shared.so', CUDA_PROVIDER];
const OPTIONAL = ['libonnxruntime_providers_tensorrt.so'];

/** A build for CUDA 13 that the npm registry has. Another release than this very one is never taken. */
const CUDA_13 = {
  name: 'com.github.asus4.onnxruntime.linux-x64-gpu',
  version: '0.4.9',
  integrity: 'sha512-FopIhNE/Ng+v2X65wVc9clPCBCvhvA53Hxo2U0Kf5fGdVsC7iCA+mZ0KLWggcQAj7TIZ6pNidR4AC10g74Xo6w==',
  megabytes: 179,
  onnxRuntime: '1.29.0',
  folder: 'package/Plugins/Linux/x64',
};

/** The provider in one checkout's onnxruntime-node. */
export class Provider {
  #package;
  #folder;
  /** Version of onnxruntime-node, which the provider must match to the last digit: they share C++ objects. */
  version;

  /** @throws Error when onnxruntime-node is not installed there */
  constructor(root) {
    this.#package = join(root, 'node_modules/onnxruntime-node');
    this.#folder = join(this.#package, 'bin/napi-v6/linux/x64');
    const manifest = join(this.#package, 'package.json');
    if (!existsSync(manifest) || !existsSync(this.#folder)) {
      throw new Error('onnxruntime-node is not installed. Run: npm run setup');
    }
    this.version = JSON.parse(readFileSync(manifest, 'utf8')).version;
  }

  get folder() {
    return this.#folder;
  }

  /** The library that is opened first, whether it is there or not. */
  get file() {
    return join(this.#folder, CUDA_PROVIDER);
  }

  get complete() {
    return REQUIRED.every((name) => existsSync(join(this.#folder, name)));
  }

  /** @throws Error when the provider that is there is of another ONNX Runtime */
  check() {
    try {
      requireVersion(this.#folder, this.version);
    } catch (error) {
      throw new Error(`${error.message} Remove it and run npm run setup:cuda again.`);
    }
  }

  /**
   * Puts the libraries of a folder into place.
   * @throws Error when one is missing there, or is of another ONNX Runtime
   */
  installFrom(folder) {
    const absent = REQUIRED.filter((name) => !existsSync(join(folder, name)));
    if (absent.length > 0) throw new Error(`${folder} has no ${absent.join(' and no ')}.`);
    requireVersion(folder, this.version);
    for (const name of [...REQUIRED, ...OPTIONAL]) {
      const source = join(folder, name);
      if (!existsSync(source)) continue;
      const target = join(this.#folder, name);
      // A running service may have the old file mapped: a new file takes its name, the old one stays whole.
      copyFileSync(source, `${target}.part`);
      chmodSync(`${target}.part`, 0o755);
      renameSync(`${target}.part`, target);
    }
  }

  /** @throws Error when the package cannot be had, is not the pinned one, or does not fit onnxruntime-node */
  async fetchCuda13() {
    const { name, version, integrity, megabytes, onnxRuntime, folder } = CUDA_13;
    if (this.version !== onnxRuntime) {
      throw new Error(
        `onnxruntime-node is ${this.version}, but ${name}@${version} was built from ONNX Runtime ${onnxRuntime}. ` +
          'Give a provider of the same version with --provider DIR.',
      );
    }
    console.log(`\nFetching ${name}@${version} from the npm registry (${megabytes} MB)
  ONNX Runtime ${onnxRuntime} built for CUDA 13; MIT licence, Copyright Microsoft Corporation; packed by asus4.`);
    const scratch = mkdtempSync(join(tmpdir(), 'facecast-cuda-'));
    try {
      const archive = await npmPack(`${name}@${version}`, scratch, megabytes);
      const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
      if (found !== integrity) {
        throw new Error(`what came is not the pinned ${name}@${version}: its integrity is ${found}, not ${integrity}.`);
      }
      const { status, error, stderr } = spawnSync('tar', ['-xzf', archive, '-C', scratch, folder], {
        encoding: 'utf8',
      });
      if (error || status !== 0) {
        throw new Error(`tar could not unpack the package: ${error?.message ?? stderr.trim()}`);
      }
      this.installFrom(join(scratch, folder));
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }

  /** @throws Error when NuGet cannot be reached, or onnxruntime-node's script fails otherwise */
  fetchCuda12() {
    const script = join(this.#package, 'script/install.js');
    console.log(
      "\nFetching the build for CUDA 12 with onnxruntime-node's own install script, from NuGet (api.nuget.org)",
    );
    const environment = { ...process.env };
    // Either of these would keep the script from doing what was asked for here.
    for (const key of Object.keys(environment)) if (/onnxruntime_node_install/i.test(key)) delete environment[key];
    const { status, error, stdout, stderr } = spawnSync(process.execPath, [script], {
      encoding: 'utf8',
      env: { ...environment, ONNXRUNTIME_NODE_INSTALL_CUDA: 'v12' },
    });
    if (stdout) process.stdout.write(stdout);
    if (!error && status === 0 && this.complete && cudaMajorOf(this.file) === 12) return;
    const reason =
      error?.message ??
      /^.*Error: .*$/m.exec(stderr)?.[0].trim() ??
      (status === 0 ? 'it brought no build for CUDA 12' : `exit status ${status}`);
    const unreachable = /ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|ENETUNREACH|certificate/.test(reason);
    throw new Error(
      unreachable
        ? `NuGet cannot be reached from here (${reason}). Where it can, fetch Microsoft.ML.OnnxRuntime.Gpu.Linux ` +
            `${this.version}, unzip it, and give its runtimes/linux-x64/native with --provider DIR.`
        : `onnxruntime-node's install script failed: ${reason}`,
    );
  }
}

/** ONNX Runtime does not compare versions itself: it would crash, or worse, not crash. */
function requireVersion(folder, version) {
  const file = join(folder, CUDA_PROVIDER);
  if (readFileSync(file).includes(`\0${version}\0`)) return;
  throw new Error(`${file} was not built from ONNX Runtime ${version}, which onnxruntime-node here is.`);
}

/** `npm pack` with a cache of its own, whose growth shows how far the download is. It obeys npm's proxy and registry. */
async function npmPack(specification, folder, megabytes) {
  const cache = join(folder, 'cache');
  const args = ['pack', specification, '--silent', '--cache', cache, '--pack-destination', folder];
  const npm = spawn('npm', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  npm.stderr.on('data', (text) => {
    complaint += text;
  });
  const terminal = process.stdout.isTTY;
  let told = 0;
  const timer = setInterval(() => {
    const done = Math.min(100, Math.floor((bytesBelow(cache) / 1e6 / megabytes) * 100));
    if (terminal) process.stdout.write(`\r  ${done} %`);
    else if (done >= told + 20) console.log(`  ${done} %`);
    else return;
    told = done;
  }, 500);
  try {
    const status = await new Promise((done, fail) => npm.once('error', fail).once('close', done));
    if (status !== 0) throw new Error(complaint.trim().split('\n').at(-1) || `exit status ${status}`);
  } catch (cause) {
    throw new Error(`npm pack ${specification} failed: ${cause.message}`, { cause });
  } finally {
    clearInterval(timer);
    if (terminal && told > 0) process.stdout.write('\n');
  }
  return resolve(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? 'nothing.tgz');
}

function bytesBelow(folder) {
  if (!existsSync(folder)) return 0;
  let sum = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    // npm moves its files when they are whole.
    sum += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return sum;
}
