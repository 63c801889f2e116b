/** What the tests use of m3u8-parser, which ships no types. */
declare module 'm3u8-parser' {
  export class Parser {
    push(text: string): void;
    end(): void;
    readonly manifest: {
      readonly endList?: boolean;
      readonly playlistType?: string;
      readonly targetDuration: number;
      readonly mediaSequence: number;
      readonly independentSegments?: boolean;
      readonly start?: { readonly timeOffset: number };
      readonly segments: readonly {
        readonly duration: number;
        readonly uri: string;
        readonly programDateTime: number;
        readonly map: { readonly uri: string };
      }[];
      /** The segment that is being filled: parts without an EXTINF. */
      readonly preloadSegment?: { readonly parts?: readonly { readonly uri: string }[] };
    };
  }
}
