import type { Request } from 'express';

/**
 * Delivery directives from a playlist's query (RFC 8216bis 6.2.5). What is no whole number becomes NaN: whether it matters
 * depends on the stream, because one that has ended ignores directives.
 */
export function deliveryDirectives({ _HLS_msn, _HLS_part, _HLS_skip }: Request['query']) {
  return {
    msn: wholeNumber(_HLS_msn),
    part: wholeNumber(_HLS_part),
    // `v2` leaves out old date ranges too, of which there are none here.
    skip: _HLS_skip === 'YES' || _HLS_skip === 'v2',
  };
}

function wholeNumber(value: Request['query'][string]): number | undefined {
  if (value === undefined) return undefined;
  return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
}
