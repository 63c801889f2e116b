import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Instruments } from '../../src/metrics/instruments.js';

const file = (name: string) => readFileSync(resolve(__dirname, '../..', name), 'utf8');

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const dashboard: { uid: string; panels: Panel[] } = JSON.parse(file('docker/grafana/dashboards/facecast.json'));
const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

/** Names of samples with the labels they may have, as `/metrics` declares them. */
async function declared(): Promise<Map<string, readonly string[]>> {
  const instruments = new Instruments();
  instruments.collectProcess();
  const names = new Map<string, readonly string[]>();
  for (const [, name, type] of (await instruments.registry.metrics()).matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    const { labelNames = [] } = instruments.registry.getSingleMetric(name!) as unknown as { labelNames?: string[] };
    if (type !== 'histogram') names.set(name!, labelNames);
    else for (const end of ['_bucket', '_sum', '_count']) names.set(name! + end, [...labelNames, 'le']);
  }
  return names;
}

const namesIn = (text: string) => [...text.matchAll(/\bfacecast_[a-z0-9_]+/g)].map(([name]) => name!);

it('asks for no metric that the service does not have', async () => {
  const known = await declared();
  expect(expressions.length).toBeGreaterThan(30);
  for (const expression of expressions) {
    const names = namesIn(expression);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect([...known.keys()]).toContain(name);
    const labels = [
      ...[...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(', ')),
      ...[...expression.matchAll(/[{,]\s*(\w+)\s*=/g)].map(([, label]) => label!),
    ];
    const allowed = names.flatMap((name) => known.get(name)!);
    for (const label of labels)
      expect({ expression, allowed }).toEqual({ expression, allowed: expect.arrayContaining([label]) });
  }
});

it('asks for rates of what only grows, and of nothing else', () => {
  for (const expression of expressions) {
    const counted = namesIn(expression).filter((name) => /_(total|bucket|sum|count)$/.test(name));
    const rated = [...expression.matchAll(/\b(?:rate|increase)\((facecast_\w+)/g)].map(([, name]) => name!);
    expect({ expression, rated: rated.sort() }).toEqual({ expression, rated: counted.sort() });
  }
});

it('shows every metric of the service’s own, and has legends of labels that are there', async () => {
  const shown = expressions.flatMap(namesIn);
  for (const { name } of await new Instruments().registry.getMetricsAsJSON()) {
    expect(shown.some((each) => each.replace(/_(bucket|sum|count)$/, '') === name || each === name)).toBe(true);
  }
  for (const { targets = [] } of dashboard.panels) {
    for (const { expr, legendFormat } of targets) {
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
        expect(expr).toMatch(new RegExp(`by \\([^)]*${label}`));
    }
  }
});

it('has panels that do not lie on each other, and the data source that is provisioned', () => {
  const taken = new Set<string>();
  for (const { title, type, datasource, gridPos } of dashboard.panels) {
    expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect({ title, free: !taken.has(`${x} ${y}`) }).toEqual({ title, free: true });
        taken.add(`${x} ${y}`);
      }
    }
    if (type !== 'row')
      expect(file('docker/grafana/datasources/prometheus.yml')).toContain(`uid: ${datasource?.uid}\n`);
  }
  expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
});

it('is explained: every metric of the service’s own has its row in the operator’s guide', async () => {
  const guide = file('docs/monitoring.md');
  const rows = new Set([...guide.matchAll(/^\| `(facecast_\w+)/gm)].map(([, name]) => name!));
  const own = (await new Instruments().registry.getMetricsAsJSON()).map(({ name }) => name);
  expect(
    [...rows].filter((name) => !name.startsWith('facecast_process') && !name.startsWith('facecast_nodejs')).sort(),
  ).toEqual(own.sort());
});
