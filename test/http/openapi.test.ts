import { readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Express, Router } from 'express';
import { z } from 'zod';
import { ERROR_STATUS } from '../../src/errors.js';
import * as answers from '../../src/http/answers.js';
import { createApp } from '../../src/http/app.js';
import { feedSchema, initSchema, parseForm } from '../../src/http/form.js';
import { API_VERSION, openApiDocument } from '../../src/http/openapi.js';
import { createLogger } from '../../src/log.js';
import { Instruments } from '../../src/metrics/instruments.js';
import { Api } from '../support/api.js';
import { samplePortrait, sampleSpeech, startService, type TestService } from '../support/service.js';
import { makeTinyPack } from '../support/tiny-pack.js';

// biome-ignore lint/suspicious/noExplicitAny: any JSON
type Json = any;

/** As it is served: what JSON leaves out is not in it. */
const document: Json = JSON.parse(JSON.stringify(openApiDocument));
const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];
const TYPES: Record<string, string> = { css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };
const CHUNKED = '/api/audio-driven/chunked';

interface Operation {
  readonly path: string;
  readonly method: string;
  readonly operation: Json;
  readonly parameters: readonly Json[];
}

const operations: Operation[] = Object.entries<Json>(document.paths).flatMap(([path, item]) =>
  METHODS.filter((method) => method in item).map((method) => {
    const operation = item[method];
    const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(follow);
    return { path, method, operation, parameters };
  }),
);

/** What a reference stands for. @throws Error where there is nothing */
function follow(thing: Json): Json {
  if (typeof thing?.$ref !== 'string') return thing;
  const target = thing.$ref
    .replace(/^#\//, '')
    .split('/')
    .reduce((at: Json, key: string) => at?.[key], document);
  if (!target) throw new Error(`Nothing at ${thing.$ref}`);
  return target;
}

/** Everything in a document that has this key. */
function having(key: string, thing: Json = document): Json[] {
  if (typeof thing !== 'object' || thing === null) return [];
  return [...(key in thing ? [thing] : []), ...Object.values(thing).flatMap((each) => having(key, each))];
}

/** A schema with what it refers to in place. */
function whole(schema: Json): Json {
  if (typeof schema !== 'object' || schema === null) return schema;
  if (Array.isArray(schema)) return schema.map(whole);
  const target = follow(schema);
  return Object.fromEntries(Object.entries(target).map(([key, value]) => [key, whole(value)]));
}

function check(schema: Json, value: Json): string[] {
  const { error } = z.fromJSONSchema(whole(schema)).safeParse(value);
  return error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];
}

const fields = (path: string) =>
  document.paths[`${CHUNKED}/${path}`].post.requestBody.content['multipart/form-data'].schema;

describe('the document', () => {
  it('is OpenAPI 3.1: what must be there is, and nothing that has no meaning', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d$/);
    expect(Object.keys(document).sort()).toEqual(['components', 'info', 'openapi', 'paths', 'security', 'tags']);
    const { version } = JSON.parse(readFileSync(resolve(__dirname, '../../package.json'), 'utf8'));
    expect(document.info).toMatchObject({ title: 'Facecast', version });
    expect(API_VERSION).toBe(version);
    const tags = document.tags.map(({ name }: Json) => name);
    for (const { path, operation, parameters } of operations) {
      const allowed = [
        'operationId',
        'tags',
        'summary',
        'description',
        'parameters',
        'requestBody',
        'responses',
        'security',
      ];
      expect(allowed).toEqual(expect.arrayContaining(Object.keys(operation)));
      expect(tags).toEqual(expect.arrayContaining(operation.tags));
      expect(operation.summary).toMatch(/\S/);
      // Each part of a path that varies is described once, and nothing else is.
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const inPath = parameters.filter((each) => each.in === 'path');
      expect(inPath.map(({ name }) => name).sort()).toEqual(named.sort());
      for (const parameter of inPath) expect(parameter.required).toBe(true);
      for (const { name, schema, in: place } of parameters) {
        expect(['path', 'query', 'header']).toContain(place);
        expect(name).toMatch(/\S/);
        expect(() => z.fromJSONSchema(schema)).not.toThrow();
      }
      expect(Object.keys(operation.responses).length).toBeGreaterThan(0);
      for (const [status, response] of Object.entries<Json>(operation.responses)) {
        expect(status).toMatch(/^[1-5]\d\d$/);
        expect(response.description).toMatch(/\S/);
        for (const media of Object.values<Json>(response.content ?? {})) expect(media.schema).toBeDefined();
      }
    }
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('refers only to what is there, and has nothing that nobody refers to', () => {
    const references = having('$ref').map(({ $ref }) => $ref);
    for (const requirement of [document, ...operations.map(({ operation }) => operation)].flatMap(
      ({ security }) => security ?? [],
    )) {
      for (const name of Object.keys(requirement)) references.push(`#/components/securitySchemes/${name}`);
    }
    for (const reference of references) expect(follow({ $ref: reference })).toBeDefined();
    for (const [kind, things] of Object.entries<Json>(document.components)) {
      for (const name of Object.keys(things)) expect(references).toContain(`#/components/${kind}/${name}`);
    }
  });

  it('has examples that fit their schemas', () => {
    const media = having('example').filter(({ schema }) => schema);
    expect(media.length).toBeGreaterThanOrEqual(10);
    for (const { schema, example } of media)
      expect({ example, errors: check(schema, example) }).toEqual({ example, errors: [] });
    const { pose_style: style } = fields('init').properties;
    const { example } = media.find(({ example: { seed } }) => seed)!;
    expect(check(style.contentSchema, JSON.parse(example.pose_style))).toEqual([]);
    for (const schema of having('examples')) {
      for (const example of schema.examples)
        expect({ example, errors: check(schema, example) }).toEqual({ example, errors: [] });
    }
  });

  it('would show an example that does not fit', () => {
    expect(check({ $ref: '#/components/schemas/StatusAnswer' }, { status: 'dancing' })).not.toEqual([]);
    expect(check(document.components.parameters.SessionId.schema, '../../etc')).not.toEqual([]);
  });
});

describe('forms', () => {
  it('shows every field of init, with its range and default', () => {
    const { properties, required } = fields('init');
    expect(Object.keys(properties).sort()).toEqual(['image', ...Object.keys(initSchema.shape)].sort());
    expect(required).toEqual(['image']);
    const json = (content: Json) => ({
      type: 'string',
      contentMediaType: 'application/json',
      contentSchema: { type: 'array', ...content },
    });
    expect(properties).toMatchObject({
      image: { type: 'string', format: 'binary' },
      session_id: { type: 'string', pattern: '^[A-Za-z0-9_-]{8,64}$' },
      crop: { type: 'boolean', default: true },
      seed: { type: 'integer', minimum: -2147483648, maximum: 4294967295, default: 42 },
      nfe: { type: 'integer', minimum: 5, maximum: 50, default: 10 },
      cfg_scale: { type: 'number', minimum: 1, maximum: 5, default: 2 },
      chunk_duration: { type: 'number', minimum: 0.1, maximum: 10 },
      audio_sample_rate: { type: 'integer', minimum: 8000, maximum: 192000, default: 24000 },
      pose_style: json({ minItems: 3, maxItems: 3, items: { type: 'number', minimum: -1, maximum: 1 } }),
      gaze_style: json({ minItems: 2, maxItems: 2, items: { type: 'number', minimum: -1, maximum: 1 } }),
      size: { type: 'number', enum: [256, 512, 720] },
      live: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
    });
    for (const field of Object.values<Json>(properties)) expect(field.description).toMatch(/\S/);
  });

  it('shows every field of feed, with its range and default', () => {
    const { properties, required } = fields('feed');
    expect(Object.keys(properties).sort()).toEqual(['audio_chunk', ...Object.keys(feedSchema.shape)].sort());
    expect(required).toEqual(['session_id']);
    expect(properties).toMatchObject({
      audio_chunk: { type: 'string', format: 'binary' },
      is_final_chunk: { type: 'boolean', default: false },
      chunk_index: { type: 'integer', minimum: 0, maximum: 2147483647 },
    });
    const plain = document.paths[`${CHUNKED}/feed`].post.requestBody.content['application/x-www-form-urlencoded'];
    expect(Object.keys(plain.schema.properties).sort()).toEqual(Object.keys(feedSchema.shape).sort());
  });

  it('says of numbers what the checks do', () => {
    for (const [name, { minimum, maximum }] of Object.entries<Json>(fields('init').properties)) {
      if (minimum === undefined) continue;
      const parse = (value: number) => parseForm(initSchema, { [name]: String(value) });
      expect(parse(minimum)).toHaveProperty(name, minimum);
      expect(parse(maximum)).toHaveProperty(name, maximum);
      expect(() => parse(minimum - 1)).toThrow(name);
      expect(() => parse(maximum + 1)).toThrow(name);
    }
  });
});

describe('errors', () => {
  it('has every code, each under its own status', () => {
    const problem = document.components.schemas.Problem;
    expect([...problem.properties.code.enum].sort()).toEqual(Object.keys(ERROR_STATUS).sort());
    const told = new Set<string>();
    for (const { operation } of operations) {
      for (const [status, response] of Object.entries<Json>(operation.responses)) {
        const codes: string[] =
          response.content?.['application/problem+json']?.schema.allOf[1].properties.code.enum ?? [];
        for (const code of codes) {
          told.add(code);
          expect(String(ERROR_STATUS[code as keyof typeof ERROR_STATUS])).toBe(status);
        }
      }
    }
    // This one is no operation's: any address has it for the methods that it does not take.
    expect([...told, 'method_not_allowed'].sort()).toEqual(Object.keys(ERROR_STATUS).sort());
  });
});

describe('routes', () => {
  /** What Express keeps of a route or of a mounted router. */
  interface Layer {
    readonly route?: { readonly path: string | string[]; readonly methods: Record<string, boolean> };
    readonly handle: Partial<Router>;
    /** Where it is mounted. */
    readonly rawPath: string;
  }

  const app = () =>
    createApp({
      service: () => {
        throw new Error('not asked for');
      },
      webDirectory: '/nowhere',
      clientDirectory: '/nowhere',
      playerDirectory: '/nowhere',
      docsDirectory: '/nowhere',
      corsOrigin: '*',
      logger: createLogger('silent'),
      instruments: new Instruments(),
    });

  function routesOf(express: Express): string[] {
    const mounted = (express.router.stack as unknown as Layer[]).filter(({ handle }) => handle.stack);
    return mounted.flatMap((layer) => {
      return (layer.handle.stack as unknown as Layer[]).flatMap(({ route }) => {
        if (!route) return [];
        const methods = Object.keys(route.methods).filter((method) => METHODS.includes(method));
        const paths = [route.path].flat().map((path) => `${layer.rawPath}${path === '/' ? '' : path}`);
        return paths.flatMap((path) => methods.map((method) => `${method} ${path}`));
      });
    });
  }

  it('are all in the document, and nothing else is', () => {
    const served = routesOf(app()).filter((route) => !route.includes(' /docs'));
    const documented = operations.map(({ path, method }) => `${method} ${path}`);
    const inOurWords = (route: string) => route.replace(/:sessionId/, '{session_id}').replace(/:file/, '{file}');
    expect(served.length).toBeGreaterThan(15);
    expect(served.map(inOurWords).sort()).toEqual(documented.sort());
  });
});

describe('over HTTP', () => {
  let pack: string;
  let service: TestService;
  beforeAll(async () => {
    pack = await makeTinyPack();
    service = await startService({ packDirectory: pack, places: [{ kind: 'thread' }] });
  });
  afterAll(async () => {
    await service?.close();
    await rm(pack, { recursive: true, force: true });
  });

  it('serves the document', async () => {
    const response = await fetch(`${service.url}/openapi.json`);
    expect(response.headers.get('content-type')).toContain('application/json');
    expect(await response.json()).toEqual(document);
  });

  it('serves a page that asks nobody else', async () => {
    const redirect = await fetch(`${service.url}/docs`, { redirect: 'manual' });
    expect([redirect.status, redirect.headers.get('location')]).toEqual([301, 'docs/']);
    const response = await fetch(`${service.url}/docs/`);
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
    const html = await response.text();
    const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file!);
    expect(files).toEqual(['../favicon.svg', 'swagger-ui.css', 'swagger-ui-bundle.js', 'start.js']);
    for (const file of files) {
      const asset = await fetch(new URL(file, response.url));
      expect(asset.status).toBe(200);
      expect(asset.headers.get('content-type')).toMatch(TYPES[file.split('.').at(-1)!]!);
    }
    expect((await fetch(`${service.url}/docs/index.html`)).status).toBe(404);
  });

  it('answers with the shapes of the document, to the last field', async () => {
    const api = new Api(service.url);
    const fits = (shape: z.ZodObject, { body }: { body: Json }) =>
      expect(() => shape.strict().parse(body)).not.toThrow();
    for (const live of [false, true]) {
      const init = await api.init(samplePortrait, { crop: false, live, misspelt: 1 });
      fits(answers.initAnswer, init);
      expect(init.body.warnings).toHaveLength(1);
      const id = init.body.session_id;
      fits(answers.feedAnswer, await api.feed(id, { bytes: await readFile(sampleSpeech) }));
      fits(answers.statusAnswer, await api.status(id));
      const form = new URLSearchParams({ session_id: id });
      const interrupted = await api.post('interrupt' as 'feed', form);
      fits(live ? answers.interruptAnswer : answers.problem, interrupted);
      fits(answers.deleteAnswer, await api.delete(id));
    }
    fits(answers.healthAnswer, await api.get('/health'));
    fits(answers.aliveAnswer, await api.get('/health/live'));
    fits(answers.problem, await api.get('/nothing'));
  });
});
