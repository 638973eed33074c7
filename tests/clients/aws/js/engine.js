// Calls AWS with the SDK for JavaScript, for the Go tests beside it. A call is a line on standard input,
//
//   {"service": "sqs", "action": "SendMessage", "input": {...}}
//
// and its answer a line on standard output: {"output": {...}} or {"error": {"type": ..., "code": ...,
// "message": ...}}. The type is the class that the SDK exports, if the error is one of its. Bytes travel as
// {"$bytes": base64}. The SDK checks the MD5 of bodies by itself. Where the server is says AWS_ENDPOINT_URL;
// without it the SDK takes the host of QueueUrl.
import { createInterface } from 'node:readline'
import * as sns from '@aws-sdk/client-sns'
import * as sqs from '@aws-sdk/client-sqs'
import * as sts from '@aws-sdk/client-sts'

const config = { region: 'us-east-1', credentials: { accessKeyId: 'any', secretAccessKey: 'key' } }
const services = {
  sns: [sns, new sns.SNSClient(config)],
  sqs: [sqs, new sqs.SQSClient(config)],
  sts: [sts, new sts.STSClient(config)],
}

const toBytes = (_, v) => (typeof v?.$bytes === 'string' ? Uint8Array.from(Buffer.from(v.$bytes, 'base64')) : v)

const fromBytes = (v) => {
  if (v instanceof Uint8Array) return { $bytes: Buffer.from(v).toString('base64') }
  if (Array.isArray(v)) return v.map(fromBytes)
  if (v === null || typeof v !== 'object' || v instanceof Date) return v
  return Object.fromEntries(Object.entries(v).map(([key, value]) => [key, fromBytes(value)]))
}

async function answer ({ service, action, input }) {
  const [sdk, client] = services[service]
  try {
    const { $metadata, ...output } = await client.send(new sdk[action + 'Command'](input))
    return { output: fromBytes(output) }
  } catch (e) {
    const known = typeof sdk[e.name] === 'function' && e instanceof sdk[e.name]
    return { error: { type: known ? e.name : '', code: e.Code ?? e.name, message: e.message } }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line, toBytes))) + '\n')
}
