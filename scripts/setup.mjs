// Makes the machine ready: npm packages, FFmpeg, the build. Says what it does and why; does nothing twice.
// It uses nothing but Node itself, because it runs before anything is installed.
//
//   node scripts/setup.mjs
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');

/** Runs a command with its output shown; ends the program when it fails. */
function run(command, args, why) {
  console.log(`\n> ${command} ${args.join(' ')}\n  ${why}`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error || status !== 0) stop(`${command} failed${error ? `: ${error.message}` : ''}.`);
}

function stop(message) {
  console.error(`\nfacecast setup: ${message}`);
  process.exit(1);
}

function works(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  stop(`Node ${process.versions.node} is too old; 20.19 or newer is needed (Debian: see https://nodejs.org).`);
}

/** Packages are installed when the lock file changed since the last time. */
function installPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = join(root, 'node_modules', '.facecast-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  // Not `npm ci`: it refuses a lock file that lacks the optional packages of platforms nobody here has.
  run('npm', ['install', '--no-save', '--no-audit', '--include=dev'], 'installing the packages of package-lock.json');
  writeFileSync(stamp, lock);
}

function installFfmpeg() {
  if (works('ffmpeg', ['-version'])) return;
  const why = 'FFmpeg encodes the stream (H.264, AAC) and reads compressed speech; it comes from the distribution';
  if (!works('apt-get', ['--version'])) {
    stop('FFmpeg is missing and this is no Debian-like system. Install it (with libx264 and aac) and run this again.');
  }
  const prefix = process.getuid?.() === 0 ? [] : ['sudo'];
  const [command, ...args] = [...prefix, 'apt-get'];
  run(command, [...args, 'update', '-qq'], 'refreshing the package lists, to install FFmpeg');
  run(command, [...args, 'install', '-y', '-qq', '--no-install-recommends', 'ffmpeg'], why);
}

/** The newest modification below a folder. */
function newest(path) {
  if (!existsSync(path)) return 0;
  const status = statSync(path);
  if (!status.isDirectory()) return status.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}

function build() {
  const client = join(root, 'clients/typescript');
  const clientSources = readdirSync(client).filter((name) => /\.ts$|tsconfig/.test(name));
  const sources = [join(root, 'src'), join(root, 'tsconfig.json'), ...clientSources.map((name) => join(client, name))];
  const built = ['dist/main.js', 'clients/typescript/dist/talk.js'].map((name) => join(root, name));
  const oldest = Math.min(...built.map((path) => (existsSync(path) ? statSync(path).mtimeMs : 0)));
  if (oldest > Math.max(...sources.map(newest))) return;
  run('npm', ['run', '--silent', 'build'], 'compiling TypeScript to dist/');
}

if (process.argv.includes('--help')) {
  console.log(`npm run setup

Makes the machine ready: installs the npm packages of package-lock.json, FFmpeg where it is missing (by apt-get, with sudo
unless you are root), and compiles TypeScript to dist/. Does nothing twice; every other npm script begins with it.`);
  process.exit(0);
}
if (process.argv.length > 2) stop(`there is no option ${process.argv[2]}. See npm run setup -- --help`);
checkNode();
installPackages();
installFfmpeg();
build();
