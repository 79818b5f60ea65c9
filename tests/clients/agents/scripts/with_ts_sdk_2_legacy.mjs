// The TypeScript SDK's client, v2, as it comes: the protocol's older era.
import { connectIn, load } from "./with_ts_sdk_2.mjs";

export { load };
export const connect = (target, onProgress) => connectIn("legacy", target, onProgress);
