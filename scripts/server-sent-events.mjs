// Server-sent events as this service writes them: fields of one line each, an empty line behind each event. Not its client's
// parser, which is for any service: what is measured here is the service alone.

/**
 * The events of an answer, as they come; ends with it.
 * @param response of `fetch`, 2xx
 * @returns an async generator of `{id, ...data}`; comments and blocks without data are left out
 * @throws Error where the answer says no, or breaks off
 */
export async function* readEvents(response) {
  if (!response.ok || !response.body) throw new Error(`events answered ${response.status}`);
  let text = '';
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + piece).split('\n\n');
    text = blocks.pop();
    for (const block of blocks) {
      const field = (name) => block.match(new RegExp(`^${name}: ?(.*)$`, 'm'))?.[1];
      if (field('data')) yield { id: Number(field('id')), ...JSON.parse(field('data')) };
    }
  }
}
