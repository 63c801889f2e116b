import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import { ERROR_STATUS, type ErrorCode } from '../errors.js';

// Pieces of an OpenAPI 3.1 document, made of the schemas that check requests and type answers.

export type JsonObject = { readonly [key: string]: unknown };

/** What every operation may be answered with. */
const ALWAYS: readonly ErrorCode[] = ['internal'];
/** Statuses whose answers say when to try again. */
const WITH_RETRY: readonly number[] = [429, 503];

/** JSON Schema (2020-12, which OpenAPI 3.1 uses as it is) of what comes out of a schema: of text in forms, what it means. */
export function schemaOf(schema: z.ZodType): JsonObject {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io: 'output',
    override: ({ jsonSchema }) => {
      // Clients are to bear with fields that come later.
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  });
  return rest;
}

/** An answer in JSON: the shape is one of the document's components. */
export function json(description: string, component: string, example: unknown): JsonObject {
  return { description, content: { 'application/json': { schema: reference(component), example } } };
}

export function reference(component: string): JsonObject {
  return { $ref: `#/components/schemas/${component}` };
}

/** Answers to what goes wrong, one for each status, with the codes that it may have here. */
export function problems(codes: readonly ErrorCode[]): Record<string, JsonObject> {
  const all = [...codes, ...ALWAYS];
  const statuses = [...new Set(all.map((code) => ERROR_STATUS[code]))].sort();
  return Object.fromEntries(
    statuses.map((status) => [
      String(status),
      problemAnswer(
        status,
        all.filter((code) => ERROR_STATUS[code] === status),
      ),
    ]),
  );
}

function problemAnswer(status: number, codes: readonly ErrorCode[]): JsonObject {
  const schema = { allOf: [reference('Problem'), { type: 'object', properties: { code: { enum: codes } } }] };
  const title = STATUS_CODES[status];
  const example = { type: 'about:blank', title, status, detail: '…', code: codes[0], request_id: '0b8f…' };
  return {
    description: `${title}: ${codes.join(', ')}.`,
    ...(WITH_RETRY.includes(status) && { headers: { 'Retry-After': { $ref: '#/components/headers/RetryAfter' } } }),
    content: { 'application/problem+json': { schema, example } },
  };
}

export interface UploadField {
  readonly name: string;
  readonly description: string;
  readonly required: boolean;
}

/** The body of a form: fields of a schema, and a file. */
export function formBody(schema: z.ZodObject, example: JsonObject, file?: UploadField): JsonObject {
  const { properties = {}, ...facts } = schemaOf(schema) as { properties?: Record<string, JsonObject> };
  const plain = Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, asText(field)]));
  // What comes out has its defaults filled in; what has to be given is what cannot be left out.
  const needed = Object.entries(schema.shape).filter(([, field]) => !(field as z.ZodType).safeParse(undefined).success);
  const required = needed.map(([name]) => name);
  const withoutFile = {
    'application/x-www-form-urlencoded': { schema: { ...facts, properties: plain, required }, example },
  };
  const upload = file && { [file.name]: { type: 'string', format: 'binary', description: file.description } };
  const whole = {
    ...facts,
    properties: { ...upload, ...plain },
    required: [...required, ...(file?.required ? [file.name] : [])],
  };
  const multipart = { 'multipart/form-data': { schema: whole, example } };
  return { required: true, content: { ...multipart, ...(!file?.required && withoutFile) } };
}

/** An array comes as one text that holds JSON. Left to OpenAPI's own ways it would come as several fields, or as a file. */
function asText(field: JsonObject): JsonObject {
  if (field.type !== 'array') return field;
  const { description, ...contentSchema } = field;
  return { type: 'string', description, contentMediaType: 'application/json', contentSchema };
}

/** A parameter of a query. */
export function query(name: string, schema: JsonObject, description: string): JsonObject {
  return { name, in: 'query', required: false, schema, description };
}

/** What all addresses of one session have. */
export const ofSession: readonly JsonObject[] = [{ $ref: '#/components/parameters/SessionId' }];
