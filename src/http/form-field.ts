import { z } from 'zod';

// Fields of forms arrive as text. Each schema here turns the text into what is meant and pipes it into a schema of that: the
// second half is what the OpenAPI document shows, so type, range and default are said once, for checking and for reading.

const WORDS: Readonly<Record<string, boolean>> = { true: true, false: false, 1: true, 0: false, yes: true, no: false };

export function boolean() {
  return z
    .string()
    .transform((text) => WORDS[text.toLowerCase()])
    .pipe(z.boolean('must be true or false (1/0 and yes/no are taken as well)'));
}

export function number(min: number, max: number, { whole }: { whole: boolean }) {
  const message = `must be a ${whole ? 'whole ' : ''}number from ${min} to ${max}`;
  const meant = whole ? z.int(message) : z.number(message);
  return z
    .string()
    .trim()
    .regex(whole ? /^-?\d+$/ : /^-?(\d+\.?\d*|\.\d+)(e-?\d+)?$/i, message)
    .transform(Number)
    .pipe(meant.min(min, message).max(max, message));
}

/** A JSON array of numbers with these names, each in `-limit..limit`. */
export function vector<const Names extends readonly string[]>(names: Names, limit: number) {
  const message = `must be a JSON array [${names.join(', ')}] of numbers from -${limit} to ${limit}`;
  const meant = z.array(z.number().min(-limit).max(limit)).length(names.length);
  return z
    .string()
    .transform((text, context) => {
      const value = meant.safeParse(parseJson(text));
      if (value.success) return value.data;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    })
    .pipe(meant);
}

/** One of a few numbers. */
export function choice(...values: readonly number[]) {
  const all = values.map(String);
  const message = `must be ${all.slice(0, -1).join(', ')} or ${all[all.length - 1]}`;
  return z
    .string()
    .trim()
    .refine((text) => all.includes(text), message)
    .transform(Number)
    .pipe(z.literal([...values]));
}

/** @returns undefined for what is no JSON */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
