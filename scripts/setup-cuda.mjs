// Makes NVIDIA GPUs usable: gets ONNX Runtime's CUDA provider, says which libraries it needs and which are there, and
// multiplies two matrices on the GPU to prove it. Does nothing twice.
//
//   npm run setup:cuda
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { parseArgs, stripVTControlCharacters } from 'node:util';
import { findDriver, OLDEST_DRIVER } from './cuda/driver.mjs';
import { cudaMajor, cudaMajorOf, describe, findLibraries, packagesFor, versionOf } from './cuda/libraries.mjs';
import { Provider } from './cuda/provider.mjs';
import { explain } from './cuda/reason.mjs';

const root = resolve(import.meta.dirname, '..');

const USAGE = `npm run setup:cuda -- [options]

Puts ONNX Runtime's CUDA provider into node_modules (Linux on x64 with an NVIDIA GPU), reports the driver and the CUDA
libraries, and computes a matrix product and a convolution on the GPU. Ends with 0 when CUDA is usable, else with 1.

  --cuda 13       the build for CUDA 13, from the npm registry; what is taken where no provider is there yet
  --cuda 12       the build for CUDA 12, from NuGet, by onnxruntime-node's own install script
  --provider DIR  take libonnxruntime_providers_*.so from this folder
  --check         report and try, but fetch and change nothing
  --fetch-only    put the provider into place and do no more (0 when it is there)
  --no-gpu        leave the driver and the GPU out: 0 when the loader finds everything else (for building an image)
  --help          this text`;

/** Printed before the program ends; every way out has one. */
function finish(status, message) {
  (status === 0 ? console.log : console.error)(`\n${message}`);
  process.exit(status);
}

const unusable = (message) => finish(1, `CUDA is not usable: ${message}`);

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        cuda: { type: 'string' },
        provider: { type: 'string' },
        check: { type: 'boolean', default: false },
        'fetch-only': { type: 'boolean', default: false },
        'no-gpu': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.cuda !== undefined && !['12', '13'].includes(values.cuda)) {
      throw new Error(`--cuda ${values.cuda}: must be 12 or 13.`);
    }
    if (values.cuda && values.provider) throw new Error('--cuda and --provider exclude each other.');
    if (values.check && (values.cuda || values.provider || values['fetch-only'])) {
      throw new Error('--check changes nothing, so --cuda, --provider and --fetch-only do not go with it.');
    }
    return values;
  } catch (error) {
    return finish(1, `${error.message.replace(/\.?$/, '.')}\n\n${USAGE}`);
  }
}

/** Fetches or copies the provider where it is needed. */
async function getProvider(provider, options) {
  const wanted = options.cuda && Number(options.cuda);
  if (options.provider) {
    provider.installFrom(resolve(options.provider));
    console.log(`  taken from ${options.provider}`);
  } else if (provider.complete && (!wanted || cudaMajorOf(provider.file) === wanted)) {
    provider.check();
  } else if (options.check) {
    // Whoever lacks the driver should hear so before fetching anything.
    if (!options['no-gpu']) reportDriver(13);
    unusable('the CUDA provider is not there. npm run setup:cuda fetches it.');
  } else if (wanted === 12) {
    provider.fetchCuda12();
  } else {
    await provider.fetchCuda13();
  }
}

function reportDriver(cuda) {
  console.log('\nDriver');
  const driver = findDriver();
  if (driver.complaint) console.log(`  nvidia-smi says: ${driver.complaint}`);
  if (!driver.version) {
    console.log(`  no NVIDIA driver was found. CUDA ${cuda} needs ${OLDEST_DRIVER[cuda]} or newer.
  On a machine with an NVIDIA GPU: install the driver (https://www.nvidia.com/drivers, or the distribution's package).
  In a container: the host needs the NVIDIA Container Toolkit, and the container --gpus all.`);
    return driver;
  }
  console.log(`  NVIDIA ${driver.version}${driver.cuda ? `, speaks CUDA up to ${driver.cuda}` : ''}`);
  for (const gpu of driver.gpus) console.log(`  ${gpu}`);
  if (Number.parseInt(driver.version, 10) < OLDEST_DRIVER[cuda]) {
    console.log(`  This is too old: CUDA ${cuda} needs ${OLDEST_DRIVER[cuda]} or newer.`);
    if (cuda === 13 && Number.parseInt(driver.version, 10) >= OLDEST_DRIVER[12]) {
      console.log('  It runs CUDA 12: npm run setup:cuda -- --cuda 12');
    }
  }
  return driver;
}

function reportLibraries({ libraries, hidden, searched }, cuda, withDriver) {
  console.log('\nLibraries');
  // Of the system's own libraries only a missing one is news.
  const shown = libraries.filter(({ name, path }) => !path || describe(name).title !== 'system library');
  for (const { name, path } of shown) {
    const { title, driver, required } = describe(name);
    const version = path && versionOf(path);
    const absent =
      driver && !withDriver
        ? 'comes with the GPU'
        : required
          ? 'MISSING'
          : `not found (${title === 'TensorRT' ? 'for DEVICE=tensorrt only' : 'not needed'})`;
    console.log(
      `  ${title.padEnd(16)}${name.padEnd(24)}${path ? `${path}${version ? `  (${version})` : ''}` : absent}`,
    );
  }
  const missing = shown.filter(({ name, path }) => !path && describe(name).required).map(({ name }) => name);
  const packages = packagesFor(missing, cuda);
  if (packages.pypi.length > 0) {
    console.log(`\nTo get what is missing, one of these:
  apt-get install ${packages.apt.join(' ')}   (from NVIDIA's repository; newer releases of CUDA ${cuda} do as well)
  pip install ${packages.pypi.map((name) => `'${name}'`).join(' ')}   (then run this again, with that python3 on PATH)`);
  }
  if (hidden.length > 0) {
    console.log(`\nNot on the loader's path: ${hidden.join(', ')}. Start the service with
  export LD_LIBRARY_PATH=${searched}`);
  }
  return missing;
}

/** Computes on the GPU in a process of its own. */
function tryCuda(searched) {
  const trial = join(root, 'scripts/cuda/trial.mjs');
  const { status, signal, error, stdout, stderr } = spawnSync(process.execPath, [trial], {
    encoding: 'utf8',
    // ONNX Runtime's builds report their use to Microsoft unless told not to.
    env: { ORT_DISABLE_TELEMETRY: '1', ...process.env, LD_LIBRARY_PATH: searched },
    // The first start may compile kernels for the GPU.
    timeout: 300_000,
  });
  const last = stdout?.trim().split('\n').at(-1);
  const result = last?.startsWith('{') ? JSON.parse(last) : {};
  if (result.difference !== undefined) return result;
  // The log's colours are for terminals.
  const said = stripVTControlCharacters(`${result.error ?? ''}\n${stderr ?? ''}`).trim();
  const ended =
    error?.code === 'ETIMEDOUT' ? 'did not end within 5 minutes' : `ended with ${signal ?? `exit status ${status}`}`;
  return {
    said,
    reason: explain(said, result.error ? `ONNX Runtime refuses: ${result.error}` : `the trial ${ended}.`),
  };
}

async function main() {
  const options = readOptions();
  if (options.help) finish(0, USAGE);
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    unusable(
      `this is ${process.platform} on ${process.arch}, and ONNX Runtime for Node has a CUDA provider for Linux on x64 ` +
        'only (Windows: under WSL 2). The CPU works everywhere: DEVICE=cpu.',
    );
  }
  const provider = new Provider(root);
  console.log(`onnxruntime-node ${provider.version}`);
  await getProvider(provider, options);
  if (options['fetch-only']) finish(0, `The CUDA provider is in ${provider.folder}.`);

  const found = findLibraries(provider.file);
  const cuda = cudaMajor(found.libraries);
  if (!OLDEST_DRIVER[cuda])
    unusable(`${provider.file} was built for CUDA ${cuda ?? 'of no version'}; 12 and 13 are known.`);
  console.log(`CUDA provider for CUDA ${cuda}, in ${provider.folder}`);
  const withDriver = !options['no-gpu'];
  const driver = withDriver ? reportDriver(cuda) : undefined;
  const missing = reportLibraries(found, cuda, withDriver);
  const absent = missing.filter((name) => !describe(name).driver);
  if (!withDriver) {
    if (absent.length > 0) unusable(`${absent.join(', ')} missing.`);
    const hidden = found.hidden.filter((name) => describe(name).required && !describe(name).driver);
    if (hidden.length > 0) unusable(`${hidden.join(', ')} not on the loader's path.`);
    finish(0, 'Everything but the driver is there. Whether a GPU works was not tried.');
  }

  console.log('\nTrial: a matrix product and a convolution on the GPU');
  const { difference, said, reason } = tryCuda(found.searched);
  if (difference === undefined) {
    for (const line of said.split('\n').slice(0, 12)) console.log(`  ${line}`);
    const driverAbsent = missing.length > absent.length;
    if (absent.length > 0) unusable(`missing: ${absent.join(', ')}${driverAbsent ? ", and NVIDIA's driver" : ''}.`);
    if (driverAbsent) {
      unusable("NVIDIA's driver is missing (libcuda.so.1 comes with it). Everything else that CUDA needs is there.");
    }
    unusable(reason);
  }
  // Matrix products use TF32 on the GPUs that have it: a float32 product is good to about 1e-3 there.
  if (!(difference < 1e-2)) unusable(`the GPU computes wrongly: off by ${difference} of the largest value.`);
  const gpu = driver.gpus[0]?.split(',')[0] ?? 'a GPU';
  const path = found.hidden.length > 0 ? ' (with the LD_LIBRARY_PATH above)' : '';
  finish(0, `CUDA works${path}: ${gpu}, right to ${difference.toExponential(0)} of the largest value.`);
}

main().catch((error) => unusable(error.message));
