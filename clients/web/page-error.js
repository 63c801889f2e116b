/** What went wrong on this page itself, with a code that `words.js` has words for. */
export class PageError extends Error {
  /** @param {string} code @param {string} [detail] @param {unknown} [cause] */
  constructor(code, detail = '', cause = undefined) {
    super(detail, { cause });
    this.name = 'PageError';
    this.code = code;
    this.detail = detail;
  }
}
