// By whom changes are made: the bearer of a token, or the holder of the client certificate that the browser shows.

import { failed, reason } from "./poll";
import { state, update, type Who } from "./state";

// The token is nowhere but here, and gone with the page: what a browser keeps could be read by whatever else the console serves, such as the
// storages' own pages.
let token = "";

export const authorization = (): Record<string, string> => token ? { Authorization: `Bearer ${token}` } : {};

// identify asks who a request with a token is from; with none it goes by the certificate, if there is one. It returns why the token is not taken.
export async function identify(text: string): Promise<string> {
  let answer: Response;
  try {
    answer = await fetch("api/v1/whoami", { cache: "no-store", signal: AbortSignal.timeout(10_000), headers: text ? { Authorization: `Bearer ${text}` } : {} });
    if (!answer.ok) return await reason(answer);
    const who = await answer.json() as Who;
    if (text && !who.name) return who.why ?? "it is nobody's";
    token = text;
    update(() => ({ who }));
    return "";
  } catch (error) {
    return failed(error);
  }
}

// forget ends what the token was good for.
export function forget(): void {
  token = "";
  update(() => ({ who: undefined }));
}

export const allowed = (): boolean => !!state.now.who?.name;
