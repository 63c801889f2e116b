import { VoiceAgent } from '../../clients/typescript/examples/voice-agent.js';
import type { SpeechSocket } from '../../clients/typescript/facecast-client.js';

/** A socket that takes everything, or waits as for a service that has enough. */
class FakeSocket {
  readonly log: string[] = [];
  wait: Promise<void> = Promise.resolve();
  #release = () => {};

  full(): void {
    this.wait = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  async send(sound: Uint8Array): Promise<void> {
    await this.wait;
    this.log.push(Buffer.from(sound).toString());
  }

  async endUtterance(): Promise<void> {
    this.log.push('(end)');
  }

  async interrupt(): Promise<{ droppedSeconds: number }> {
    this.log.push('(interrupt)');
    this.#release();
    return { droppedSeconds: 1 };
  }
}

function setUp(): { socket: FakeSocket; agent: VoiceAgent } {
  const socket = new FakeSocket();
  return { socket, agent: new VoiceAgent(socket as unknown as SpeechSocket) };
}

async function* words(...said: string[]): AsyncGenerator<Uint8Array> {
  for (const word of said) yield Buffer.from(word);
}

it('says what the voice makes, and that it is complete', async () => {
  const { socket, agent } = setUp();
  expect(await agent.say(() => words('one', 'two'))).toBe('said');
  expect(socket.log).toEqual(['one', 'two', '(end)']);
});

it('says one thing after the other, and none of them once the user spoke', async () => {
  const { socket, agent } = setUp();
  const said = [agent.say(() => words('one', 'two')), agent.say(() => words('three'))];
  expect(await Promise.all(said)).toEqual(['said', 'said']);
  expect(socket.log).toEqual(['one', 'two', '(end)', 'three', '(end)']);
  socket.full();
  const unsaid = [agent.say(() => words('four')), agent.say(() => words('five'))];
  await agent.userSpeaks();
  expect(await Promise.all(unsaid)).toEqual(['interrupted', 'interrupted']);
  expect(socket.log).not.toContain('five');
});

it('stops when the user speaks, and says the next thing', async () => {
  const { socket, agent } = setUp();
  socket.full();
  let stopped: AbortSignal | undefined;
  const saying = agent.say((signal) => {
    stopped = signal;
    return words('never', 'ever');
  });
  await new Promise(setImmediate);
  expect(await agent.userSpeaks()).toEqual({ droppedSeconds: 1 });
  expect(stopped!.aborted).toBe(true);
  expect(await saying).toBe('interrupted');
  // The real socket drops what waited in `send`; this one took it. Nothing came after it.
  expect(socket.log).toEqual(['(interrupt)', 'never']);
  expect(await agent.say(() => words('next'))).toBe('said');
  expect(socket.log.slice(2)).toEqual(['next', '(end)']);
});

it('a voice that complains of being stopped is no error, and one that fails is', async () => {
  const { agent } = setUp();
  // biome-ignore lint/correctness/useYield: it fails before there is any sound
  const failing = async function* (signal: AbortSignal): AsyncGenerator<Uint8Array> {
    await new Promise(setImmediate);
    throw signal.aborted ? signal.reason : new Error('The voice is hoarse.');
  };
  await expect(agent.say(failing)).rejects.toThrow('hoarse');
  const saying = agent.say(failing);
  agent.userSpeaks();
  expect(await saying).toBe('interrupted');
});
