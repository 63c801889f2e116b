/** The origins whose pages may call, as `CORS_ORIGIN` lists them. */
export class Origins {
  readonly #listed: ReadonlySet<string>;

  /** @param allowed `*`, or origins such as `https://example.org`, comma separated */
  constructor(allowed: string) {
    this.#listed = new Set(allowed.split(',').map((origin) => origin.trim()));
  }

  /** Whether pages of any origin may call. */
  get any(): boolean {
    return this.#listed.has('*');
  }

  has(origin: string | undefined): boolean {
    return origin !== undefined && this.#listed.has(origin);
  }

  /**
   * Whether a request may come from where its `Origin` says (RFC 6455 10.2). What is no page's has none. The service's own page is
   * known by the host it was loaded from; not by the scheme, which a proxy in front may have changed.
   * @param host the request's `Host`
   */
  admit(origin: string | undefined, host: string | undefined): boolean {
    if (this.any || origin === undefined || this.has(origin)) return true;
    if (host === undefined || !URL.canParse(origin)) return false;
    const { protocol, host: originHost } = new URL(origin);
    const own = `${protocol}//${host}`;
    return originHost !== '' && URL.canParse(own) && new URL(own).host === originHost;
  }
}
