import type { Interruption, SpeechSocket } from '../facecast-client.js';

/** Makes sound piece by piece: 16-bit mono PCM of the session's rate. Stops soon after the signal aborts. */
export type Voice = (signal: AbortSignal) => AsyncIterable<Uint8Array>;

/**
 * The speaking side of a voice agent: says what a model and a synthesiser make, while they make it, and stops in the middle of
 * a word when the user speaks.
 *
 *     const agent = new VoiceAgent(await session.openSpeech());
 *     agent.say((signal) => synthesise(chat(question, { signal })));
 *     voiceActivity.on('start', () => agent.userSpeaks());
 */
export class VoiceAgent {
  readonly #speech: SpeechSocket;
  #turn = new AbortController();
  /** One thing is said after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(speech: SpeechSocket) {
    this.#speech = speech;
  }

  /**
   * Says something behind what is being said. Resolves when the service has all of it, or when the user spoke.
   * @throws whatever the voice throws; FacecastError when the socket is closed
   */
  say(voice: Voice): Promise<'said' | 'interrupted'> {
    const { signal } = this.#turn;
    const turn = this.#last.then(() => this.#say(voice, signal));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** The user has begun to speak: what is not heard yet is not said, and neither the model nor the synthesiser goes on. */
  userSpeaks(): Promise<Interruption> {
    this.#turn.abort();
    this.#turn = new AbortController();
    return this.#speech.interrupt();
  }

  async #say(voice: Voice, signal: AbortSignal): Promise<'said' | 'interrupted'> {
    if (signal.aborted) return 'interrupted';
    try {
      // `send` waits while the service has enough, so a voice that is faster than speech is slowed down to it.
      for await (const sound of voice(signal)) {
        if (signal.aborted) return 'interrupted';
        await this.#speech.send(sound);
      }
    } catch (error) {
      // Programs that are stopped complain; they were asked to.
      if (!signal.aborted) throw error;
    }
    if (signal.aborted) return 'interrupted';
    await this.#speech.endUtterance();
    return signal.aborted ? 'interrupted' : 'said';
  }
}
