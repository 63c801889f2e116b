import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

// The script as it is, in a checkout and on a machine that are made up: every program it asks is a fake, and
// onnxruntime-node is one that computes on the CPU when it is asked for CUDA.

const root = resolve(__dirname, '..');
const PROVIDERS = ['cuda', 'shared', 'tensorrt'].map((name) => `libonnxruntime_providers_${name}.so`);
const DRIVER = ['libcuda.so.1'];
const CUDA_13 = [
  'libcublasLt.so.13',
  'libcublas.so.13',
  'libcurand.so.10',
  'libcudart.so.13',
  'libcudnn.so.9',
  'libnvrtc.so.13',
];

let machine: string;
let checkout: string;
let binaries: string;

beforeEach(() => {
  machine = mkdtempSync(join(tmpdir(), 'facecast-setup-cuda-'));
  checkout = join(machine, 'checkout');
  binaries = join(checkout, 'node_modules/onnxruntime-node/bin/napi-v6/linux/x64');
  mkdirSync(binaries, { recursive: true });
  cpSync(join(root, 'scripts/setup-cuda.mjs'), join(checkout, 'scripts/setup-cuda.mjs'));
  cpSync(join(root, 'scripts/cuda'), join(checkout, 'scripts/cuda'), { recursive: true });
  installOnnxRuntime('1.29.0');

  // Real ones, but no others: whatever NVIDIA programs this machine has are out of reach.
  for (const name of ['sh', 'tar', 'gzip', 'cp']) {
    const path = ['/bin', '/usr/bin'].map((folder) => join(folder, name)).find((candidate) => existsSync(candidate));
    mkdirSync(join(machine, 'bin'), { recursive: true });
    symlinkSync(path!, join(machine, 'bin', name));
  }
  program(
    'ldd',
    `major=\${FAKE_CUDA:-13}
for name in libcublasLt.so.$major libcublas.so.$major libcurand.so.10 libcudart.so.$major libcuda.so.1; do
  found='not found'
  IFS=:
  for folder in $LD_LIBRARY_PATH; do
    [ -f "$folder/$name" ] && found="$folder/$name (0x00007f1b78e00000)" && break
  done
  printf '\\t%s => %s\\n' "$name" "$found"
done
printf '\\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1b78c1e000)\\n\\tlinux-vdso.so.1 (0x00007f1bac894000)\\n'`,
  );
  program('ldconfig', 'exit 0');
  program('npm', 'echo "npm error code ENOTFOUND" >&2; exit 1');
});

afterEach(() => rmSync(machine, { recursive: true, force: true }));

function write(path: string, content: string | Buffer): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

function program(name: string, script: string): void {
  chmodSync(write(join(machine, 'bin', name), `#!/bin/sh\n${script}\n`), 0o755);
}

/** onnxruntime-node, where "CUDA" is the CPU unless FAKE_TRIAL says what goes wrong. */
function installOnnxRuntime(version: string): void {
  const folder = join(checkout, 'node_modules/onnxruntime-node');
  write(join(folder, 'package.json'), JSON.stringify({ version, type: 'module', exports: './index.js' }));
  write(
    join(folder, 'index.js'),
    `import { createRequire } from 'node:module';
const real = createRequire(${JSON.stringify(join(root, 'package.json'))})('onnxruntime-node');
export const Tensor = real.Tensor;
export const InferenceSession = {
  async create(graph, { executionProviders, extra }) {
    const trial = process.env.FAKE_TRIAL ?? '';
    if (trial === 'abort') process.abort();
    if (trial.startsWith('error: ')) throw new Error(trial.slice(7));
    if (executionProviders[0] !== 'cuda') throw new Error('not asked for CUDA');
    if (extra.session.disable_cpu_ep_fallback !== '1') throw new Error('may run on the CPU');
    const needed = process.env.FAKE_NEEDS;
    if (needed && !process.env.LD_LIBRARY_PATH.split(':').includes(needed)) throw new Error(needed + ' is not searched');
    const session = await real.InferenceSession.create(graph, { executionProviders: ['cpu'] });
    return {
      async run(feeds) {
        const outputs = await session.run(feeds);
        if (trial === 'wrong') outputs.filtered.data[100] += 1;
        return outputs;
      },
    };
  },
};
`,
  );
}

function providerFile(version: string): Buffer {
  return Buffer.from(`\x7fELF…\0${version}\0…`);
}

/** A folder with the three libraries. */
function providerIn(folder: string, version = '1.29.0'): string {
  for (const name of PROVIDERS) write(join(folder, name), providerFile(version));
  return folder;
}

function librariesIn(folder: string, names: string[]): string {
  for (const name of names) write(join(folder, name), '');
  return folder;
}

function setUp(args: string[], environment: Record<string, string> = {}): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/setup-cuda.mjs', ...args], {
    cwd: checkout,
    encoding: 'utf8',
    env: { PATH: join(machine, 'bin'), CUDA_HOME: join(machine, 'no-cuda'), TMPDIR: machine, ...environment },
  });
  return { status, text: stdout + stderr };
}

const installed = () => PROVIDERS.filter((name) => existsSync(join(binaries, name)));

describe('options', () => {
  it('explains itself', () => {
    const { status, text } = setUp(['--help']);
    expect(status).toBe(0);
    for (const option of ['--cuda 12', '--provider DIR', '--check', '--fetch-only', '--no-gpu']) {
      expect(text).toContain(option);
    }
  });

  it.each([
    [['--cuda', '11'], '--cuda 11: must be 12 or 13'],
    [['--cuda', '12', '--provider', '/tmp'], '--cuda and --provider exclude each other'],
    [['--check', '--fetch-only'], '--check changes nothing'],
    [['--gpu'], '--gpu'],
  ])('refuses %j', (args, message) => {
    const { status, text } = setUp(args);
    expect(status).toBe(1);
    expect(text).toContain(message);
  });
});

it('says which platforms have CUDA', () => {
  const pretend = "data:text/javascript,Object.defineProperty(process,'platform',{value:'darwin'})";
  const { status, text } = setUp([], { NODE_OPTIONS: `--import=${pretend}` });
  expect(status).toBe(1);
  expect(text).toMatch(/this is darwin on \w+, and .* Linux on x64 only/);
});

describe('the provider', () => {
  it('is not fetched by --check', () => {
    const { status, text } = setUp(['--check']);
    expect(status).toBe(1);
    expect(text).toContain('the CUDA provider is not there');
    expect(text).not.toContain('Fetching');
  });

  it('is taken from a folder', () => {
    const folder = providerIn(join(machine, 'given'));
    const { status } = setUp(['--provider', folder, '--fetch-only']);
    expect(status).toBe(0);
    expect(installed()).toEqual(PROVIDERS);
  });

  it('is refused where a library is missing', () => {
    const folder = providerIn(join(machine, 'given'));
    rmSync(join(folder, 'libonnxruntime_providers_shared.so'));
    const { status, text } = setUp(['--provider', folder]);
    expect(status).toBe(1);
    expect(text).toContain(`${folder} has no libonnxruntime_providers_shared.so.`);
    expect(installed()).toEqual([]);
  });

  it('is refused when it is of another ONNX Runtime, wherever it comes from', () => {
    const given = setUp(['--provider', providerIn(join(machine, 'given'), '1.28.0')]);
    expect(given.status).toBe(1);
    expect(given.text).toContain('was not built from ONNX Runtime 1.29.0');
    expect(installed()).toEqual([]);

    providerIn(binaries, '1.29.0-dev');
    const present = setUp(['--check']);
    expect(present.status).toBe(1);
    expect(present.text).toMatch(/was not built from ONNX Runtime 1\.29\.0.* Remove it and run/);
  });

  it('is not fetched for an onnxruntime-node of another version', () => {
    installOnnxRuntime('1.30.0');
    const { status, text } = setUp([]);
    expect(status).toBe(1);
    expect(text).toMatch(/onnxruntime-node is 1\.30\.0, but .* was built from ONNX Runtime 1\.29\.0/);
    expect(text).not.toContain('npm pack');
  });

  describe('from npm', () => {
    let archive: string;

    beforeEach(() => {
      providerIn(join(machine, 'packed/package/Plugins/Linux/x64'));
      archive = join(machine, 'packed.tgz');
      spawnSync('tar', ['-czf', archive, '-C', join(machine, 'packed'), 'package']);
      // `npm pack … --pack-destination FOLDER`
      program('npm', `for last; do :; done\ncp ${archive} "$last/provider-0.4.9.tgz"`);
    });

    const pin = () => {
      const path = join(checkout, 'scripts/cuda/provider.mjs');
      const integrity = createHash('sha512').update(readFileSync(archive)).digest('base64');
      writeFileSync(path, readFileSync(path, 'utf8').replace(/sha512-[\w+/]+=*/, `sha512-${integrity}`));
    };

    it('is put into place when it is the pinned package, and not fetched again', () => {
      pin();
      const first = setUp(['--fetch-only']);
      expect(first.text).toContain('MIT licence');
      expect(first.status).toBe(0);
      expect(installed()).toEqual(PROVIDERS);
      expect(readFileSync(join(binaries, PROVIDERS[0]))).toEqual(providerFile('1.29.0'));

      const second = setUp(['--fetch-only']);
      expect(second.status).toBe(0);
      expect(second.text).not.toContain('Fetching');
    });

    it('is refused when it is not the pinned package', () => {
      const { status, text } = setUp([]);
      expect(status).toBe(1);
      expect(text).toContain('what came is not the pinned');
      expect(installed()).toEqual([]);
    });

    it("fails with npm's own words", () => {
      program('npm', 'echo "npm error code ENOTFOUND" >&2; exit 1');
      const { status, text } = setUp([]);
      expect(status).toBe(1);
      expect(text).toMatch(/npm pack \S+ failed: npm error code ENOTFOUND/);
    });
  });

  describe('for CUDA 12', () => {
    const installScript = (source: string) =>
      write(join(checkout, 'node_modules/onnxruntime-node/script/install.cjs'), source) &&
      write(join(checkout, 'node_modules/onnxruntime-node/script/install.js'), "import './install.cjs';");

    it("is fetched by onnxruntime-node's own script, and replaces one for CUDA 13", () => {
      providerIn(binaries);
      installScript(`const { writeFileSync } = require('node:fs');
        if (process.env.ONNXRUNTIME_NODE_INSTALL === 'skip' || process.env.ONNXRUNTIME_NODE_INSTALL_CUDA !== 'v12') process.exit(0);
        for (const name of ${JSON.stringify(PROVIDERS)}) writeFileSync(${JSON.stringify(binaries)} + '/' + name, 'new\\0' + '1.29.0\\0');
        writeFileSync(${JSON.stringify(join(machine, 'bin/ldd'))}, '#!/bin/sh\\necho "  libcudart.so.12 => not found"\\n');`);
      const { status } = setUp(['--cuda', '12', '--fetch-only'], { ONNXRUNTIME_NODE_INSTALL: 'skip' });
      expect(status).toBe(0);
      expect(readFileSync(join(binaries, PROVIDERS[0]), 'utf8')).toContain('new');
    });

    it('says when NuGet is out of reach', () => {
      installScript("throw new Error('getaddrinfo ENOTFOUND api.nuget.org')");
      const { status, text } = setUp(['--cuda', '12']);
      expect(status).toBe(1);
      expect(text).toContain('NuGet cannot be reached from here (Error: getaddrinfo ENOTFOUND api.nuget.org)');
      expect(text).toContain('--provider DIR');
    });

    it('says when the script fails otherwise, or brings nothing', () => {
      installScript("throw new Error('Failed to resolve package')");
      expect(setUp(['--cuda', '12']).text).toContain('install script failed: Error: Failed to resolve package');
      installScript('');
      expect(setUp(['--cuda', '12']).text).toContain('it brought no build for CUDA 12');
      providerIn(binaries); // still the one for CUDA 13
      const { status, text } = setUp(['--cuda', '12']);
      expect(status).toBe(1);
      expect(text).toContain('it brought no build for CUDA 12');
    });
  });
});

describe('the libraries', () => {
  beforeEach(() => {
    providerIn(binaries);
  });

  it('are named with the packages that bring them', () => {
    const folder = librariesIn(join(machine, 'cuda'), [...DRIVER, 'libcudart.so.13', 'libcublas.so.13']);
    const { status, text } = setUp(['--check'], { LD_LIBRARY_PATH: folder, FAKE_TRIAL: 'error: nothing to load' });
    expect(status).toBe(1);
    expect(text).toMatch(/CUDA runtime +libcudart\.so\.13 +\/\S+\/cuda\/libcudart\.so\.13\n/);
    expect(text).toMatch(/cuDNN +libcudnn\.so\.9 +MISSING/);
    expect(text).toContain('apt-get install libcublas-13-0 libcurand-13-0 libcudnn9-cuda-13 cuda-nvrtc-13-0 ');
    expect(text).toContain(
      "pip install 'nvidia-cublas==13.*' 'nvidia-curand==10.*' 'nvidia-cudnn-cu13==9.*' 'nvidia-cuda-nvrtc==13.*' ",
    );
    expect(text).toContain('missing: libcublasLt.so.13, libcurand.so.10, libcudnn.so.9, libnvrtc.so.13.');
  });

  it('of CUDA 12 have packages of their own', () => {
    const { text } = setUp(['--check', '--no-gpu'], { FAKE_CUDA: '12' });
    expect(text).toContain('CUDA provider for CUDA 12');
    expect(text).toContain('cuda-cudart-12-8');
    expect(text).toContain("'nvidia-cublas-cu12==12.*'");
    expect(text).toContain("'nvidia-cudnn-cu12==9.*'");
  });

  it('are found beside Python, with their versions, and the trial runs with the printed LD_LIBRARY_PATH', () => {
    const site = join(machine, 'lib/python3.11/site-packages');
    const wheel = librariesIn(join(site, 'nvidia/cu13/lib'), CUDA_13);
    mkdirSync(join(site, 'nvidia_cuda_runtime-13.0.96.dist-info'));
    const driver = librariesIn(join(machine, 'driver'), DRIVER);
    program('python3', `echo '["", "${site}"]'`);
    const { status, text } = setUp([], { LD_LIBRARY_PATH: driver, FAKE_NEEDS: wheel });
    expect(text).toContain(`export LD_LIBRARY_PATH=${wheel}:${driver}\n`);
    expect(text).toContain(`${wheel}/libcudart.so.13  (13.0.96)\n`);
    expect(text).toMatch(/CUDA works \(with the LD_LIBRARY_PATH above\): a GPU, right to \de-\d/);
    expect(status).toBe(0);
  });

  it('are found where the loader has them, by the file that the name leads to', () => {
    const folder = librariesIn(join(machine, 'cuda'), [...DRIVER, ...CUDA_13.filter((name) => !/cudnn/.test(name))]);
    const cudnn = write(join(machine, 'system/libcudnn.so.9.13.0'), '');
    symlinkSync(cudnn, join(machine, 'system/libcudnn.so.9'));
    program(
      'ldconfig',
      `echo '  libcudnn.so.9 (libc6) => /i386/libcudnn.so.9'
echo '  libcudnn.so.9 (libc6,x86-64) => ${machine}/system/libcudnn.so.9'`,
    );
    const { status, text } = setUp([], { LD_LIBRARY_PATH: folder });
    expect(text).toContain(`${machine}/system/libcudnn.so.9  (9.13.0)\n`);
    expect(text).not.toContain('export LD_LIBRARY_PATH');
    expect(status).toBe(0);
  });

  it('are enough for an image, without a driver', () => {
    const folder = librariesIn(join(machine, 'cuda/lib64'), CUDA_13);
    const { status, text } = setUp(['--check', '--no-gpu'], { LD_LIBRARY_PATH: folder, FAKE_TRIAL: 'abort' });
    expect(text).toContain('Everything but the driver is there');
    expect(status).toBe(0);

    const hidden = setUp(['--check', '--no-gpu'], { CUDA_HOME: join(machine, 'cuda') });
    expect(hidden.status).toBe(1);
    expect(hidden.text).toMatch(/libcudnn\.so\.9, libnvrtc\.so\.13 not on the loader's path/);

    rmSync(join(folder, 'libcudnn.so.9'));
    const lacking = setUp(['--check', '--no-gpu'], { LD_LIBRARY_PATH: folder });
    expect(lacking.status).toBe(1);
    expect(lacking.text).toContain('libcudnn.so.9 missing');
  });
});

describe('the trial', () => {
  let everything: string;

  beforeEach(() => {
    providerIn(binaries);
    everything = librariesIn(join(machine, 'cuda'), [...DRIVER, ...CUDA_13]);
  });

  const attempt = (environment: Record<string, string> = {}) =>
    setUp(['--check'], { LD_LIBRARY_PATH: everything, ...environment });

  const graphicsCard = (driver: string) =>
    program(
      'nvidia-smi',
      `if [ $# = 0 ]; then echo '| NVIDIA-SMI ${driver}   Driver Version: ${driver}   CUDA Version: 13.0 |'
else echo 'NVIDIA L4, 23034 MiB, 8.9, ${driver}'; fi`,
    );

  it('says that CUDA works, on which GPU, and how right it is', () => {
    graphicsCard('580.65.06');
    const { status, text } = attempt();
    expect(text).toContain('NVIDIA 580.65.06, speaks CUDA up to 13.0');
    expect(text).toContain('NVIDIA L4, 23034 MiB, compute capability 8.9');
    expect(text).not.toContain('too old');
    expect(text).toMatch(/CUDA works: NVIDIA L4, right to \de-[67] of the largest value/);
    expect(status).toBe(0);
  });

  it('names a driver that is too old for CUDA 13, and the way out', () => {
    graphicsCard('550.90.07');
    const { status, text } = attempt({ FAKE_TRIAL: 'error: CUDA failure 35: CUDA driver version is insufficient' });
    expect(status).toBe(1);
    expect(text).toContain('This is too old: CUDA 13 needs 580 or newer.');
    expect(text).toContain('npm run setup:cuda -- --cuda 12');
    expect(text).toContain("CUDA is not usable: NVIDIA's driver is missing or too old");
  });

  it('says that only the driver is missing', () => {
    rmSync(join(everything, 'libcuda.so.1'));
    const { status, text } = attempt({
      FAKE_TRIAL: 'error: libcuda.so.1: cannot open shared object file: No such file or directory',
    });
    expect(status).toBe(1);
    expect(text).toContain(
      "NVIDIA's driver is missing (libcuda.so.1 comes with it). Everything else that CUDA needs is",
    );
  });

  it.each([
    ['CUDA failure 100: no CUDA-capable device is detected', 'the driver shows no GPU to this process'],
    ['CUDA failure 209: no kernel image is available', 'no code for this GPU'],
    ['CUDA failure 2: out of memory', "the GPU's memory is full"],
    ['CUDA failure 802: system not yet initialized', 'nvidia-fabricmanager'],
    ['libfoo.so.7: cannot open shared object file: No such file', "libfoo.so.7 is not on the loader's path"],
    ["/lib/libc.so.6: version `GLIBC_2.99' not found", 'they lack GLIBC_2.99'],
    ['something else', 'ONNX Runtime refuses: something else'],
  ])('puts "%s" into plain words', (said, meaning) => {
    const { status, text } = attempt({ FAKE_TRIAL: `error: ${said}` });
    expect(status).toBe(1);
    expect(text).toContain(said);
    expect(text.slice(text.indexOf('CUDA is not usable'))).toContain(meaning);
  });

  it('outlives a crash', () => {
    const { status, text } = attempt({ FAKE_TRIAL: 'abort' });
    expect(status).toBe(1);
    expect(text).toContain('CUDA is not usable: the trial ended with SIGABRT.');
  });

  it('refuses wrong numbers', () => {
    const { status, text } = attempt({ FAKE_TRIAL: 'wrong' });
    expect(status).toBe(1);
    expect(text).toMatch(/the GPU computes wrongly: off by 0\.\d+ of the largest value/);
  });
});
