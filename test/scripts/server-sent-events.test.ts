const { readEvents } = require('../../scripts/server-sent-events.mjs');

async function read(pieces: string[]): Promise<object[]> {
  const body = new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
      controller.close();
    },
  });
  const events: object[] = [];
  for await (const event of readEvents(new Response(body))) events.push(event);
  return events;
}

it('reads events, however they are cut, and leaves comments and blocks without data out', async () => {
  const text =
    'retry: 1000\nid: 0\n\n: still here\n\nid: 1\nevent: a\ndata: {"type":"é"}\n\nid: 2\ndata:{"type":"b"}\n\nid: 3';
  const expected = [
    { id: 1, type: 'é' },
    { id: 2, type: 'b' },
  ];
  expect(await read([text])).toEqual(expected);
  expect(await read([...text])).toEqual(expected);
});

it('says what it was refused with', async () => {
  await expect(readEvents(new Response('', { status: 404 })).next()).rejects.toThrow('events answered 404');
});
