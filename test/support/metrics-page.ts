/** What `/metrics` said, by series. */
export class MetricsPage {
  /** Names as in the `# TYPE` lines. */
  readonly names: readonly string[];
  readonly #values = new Map<string, number>();

  /** @param text Prometheus's text format, version 0.0.4. @throws Error at a line that is none of it */
  constructor(text: string) {
    this.names = [...text.matchAll(/^# TYPE (\S+) (?:counter|gauge|histogram|summary)$/gm)].map(([, name]) => name!);
    for (const line of text.split('\n')) {
      if (line === '' || /^# (HELP|TYPE) /.test(line)) continue;
      const sample = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (!sample || Number.isNaN(Number(sample[3]))) throw new Error(`Not a sample: ${line}`);
      const labels = [...(sample[2] ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => `${name}=${value}`);
      this.#values.set([sample[1], ...labels.sort()].join(' '), Number(sample[3]));
    }
  }

  static async read(url: string): Promise<MetricsPage> {
    return new MetricsPage(await (await fetch(`${url}/metrics`)).text());
  }

  /** Names of samples, with the `_bucket`, `_sum` and `_count` of histograms. */
  get sampleNames(): Set<string> {
    return new Set([...this.#values.keys()].map((key) => key.split(' ')[0]!));
  }

  get series(): readonly string[] {
    return [...this.#values.keys()];
  }

  /** @param series a name, without the service's prefix, and labels as `name=value` in the order of their names */
  value(series: string): number | undefined {
    return this.#values.get(`facecast_${series}`);
  }
}
