// Drives kafkajs for the Go tests beside it: node driver.js ROLE OPTIONS, with OPTIONS in JSON.
//
//   producer  answers lines {"op": "send", "args": [records]}
//   admin     answers lines {"op": NAME, "args": [...]}
//   reader    writes records until it has read options.n
//   member    is a member of a consumer group and writes events
//
// An answer is a line, {"result": ...} or {"error": {"code": ..., "message": ...}}. Keys and values
// travel in base64. The process ends when its standard input does.
'use strict'
const readline = require('node:readline')
const { Kafka, CompressionTypes, ConfigResourceTypes, Partitioners, logLevel } = require('kafkajs')

const role = process.argv[2]
const options = JSON.parse(process.argv[3])

const kafka = new Kafka({
  clientId: 'kafkajs',
  brokers: [options.seed],
  logLevel: logLevel.ERROR,
  logCreator: () => ({ namespace, log }) => console.error(namespace, log.message, log.error ?? ''),
  // Long enough for a broker that is killed and started again. An admin hears an error of
  // the broker sooner: kafkajs retries even the deletion of an unknown topic.
  retry: { initialRetryTime: 50, maxRetryTime: 500, retries: role === 'admin' ? 3 : 50 },
})

const write = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const encode = (buffer) => (buffer == null ? null : Buffer.from(buffer).toString('base64'))
const decode = (text) => (text === null ? null : Buffer.from(text, 'base64'))

const fromMessage = (topic, partition, m) => ({
  topic, partition,
  offset: Number(m.offset), millis: Number(m.timestamp), key: encode(m.key), value: encode(m.value),
  headers: Object.entries(m.headers ?? {}).flatMap(([key, values]) =>
    [values].flat().map((value) => ({ key, value: encode(value) }))),
})

const toMessage = (r) => ({
  key: decode(r.key), value: decode(r.value),
  timestamp: r.millis ? String(r.millis) : undefined,
  headers: Object.fromEntries((r.headers ?? []).map((h) => [h.key, decode(h.value)])),
})

// codeOf finds the protocol's error code in kafkajs' nests of errors.
function codeOf (e) {
  if (!e) return undefined
  if (Number.isInteger(e.code)) return e.code
  const lists = [e.errors, e.partitions, e.groups].map((list) => list ?? [])
  for (const inner of [e.cause, e.originalError, ...lists.flat()]) {
    const code = codeOf(inner) ?? inner?.errorCode
    if (code) return code
  }
}

// answer runs the operations that arrive as lines, one after the other.
async function answer (operations) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { op, args } = JSON.parse(line)
    try {
      write({ result: (await operations[op](...args)) ?? null })
    } catch (e) {
      write({ error: { code: codeOf(e) ?? -1, message: `${e.name}: ${e.message}` } })
    }
  }
}

async function producer () {
  const p = kafka.producer({
    idempotent: options.idempotent,
    maxInFlightRequests: options.idempotent ? 1 : undefined,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await p.connect()
  const compression = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP }[options.compression]
  await answer({
    send: async (records) => {
      const topics = [...byTopic(records)]
      const topicMessages = topics.map(([topic, rs]) => ({ topic, messages: rs.map(toMessage) }))
      await p.sendBatch({ topicMessages, acks: -1, compression })
    },
  })
  await p.disconnect()
}

function byTopic (records) {
  const topics = new Map()
  for (const r of records) topics.set(r.topic, [...(topics.get(r.topic) ?? []), r])
  return topics
}

async function admin () {
  const a = kafka.admin()
  await a.connect()
  await answer({
    createTopic: async (topic, numPartitions, config) => {
      const configEntries = Object.entries(config ?? {}).map(([name, value]) => ({ name, value }))
      const created = await a.createTopics({ topics: [{ topic, numPartitions, configEntries }] })
      // kafkajs answers false, not an error, for a topic that exists.
      if (!created) throw Object.assign(new Error('exists'), { code: 36 })
    },
    deleteTopic: (topic) => a.deleteTopics({ topics: [topic] }),
    addPartitions: (topic, count) => a.createPartitions({ topicPartitions: [{ topic, count }] }),
    topicConfig: async (name) => {
      const resource = { type: ConfigResourceTypes.TOPIC, name }
      const { resources } = await a.describeConfigs({ resources: [resource] })
      return Object.fromEntries(resources[0].configEntries.map((c) => [c.configName, c.configValue]))
    },
    offsetsAt: async (topic, millis) => {
      const rows = await a.fetchTopicOffsetsByTimestamp(topic, millis)
      return Object.fromEntries(rows.map((row) => [row.partition, Number(row.offset)]))
    },
    listGroups: async () => (await a.listGroups()).groups.map((g) => g.groupId).sort(),
    describeGroup: async (group) => {
      const { groups } = await a.describeGroups([group])
      return { state: groups[0].state, members: groups[0].members.length }
    },
    deleteGroup: (group) => a.deleteGroups([group]),
    deleteRecords: async (topic, before) => {
      await a.fetchTopicOffsets(topic) // deleteTopicRecords uses metadata that it does not load
      const partitions = [{ partition: 0, offset: String(before) }]
      await a.deleteTopicRecords({ topic, partitions })
    },
  })
  await a.disconnect()
}

function consumer (groupId) {
  return kafka.consumer({
    groupId, sessionTimeout: options.sessionMillis, heartbeatInterval: options.heartbeatMillis,
    maxBytesPerPartition: 2 << 20, maxWaitTimeInMs: 500,
  })
}

// reader reads as a group of its own: kafkajs has no consumer without a group.
async function reader () {
  const c = consumer(`reader-${process.pid}-${Date.now()}`)
  await c.connect()
  await c.subscribe({ topic: options.topic, fromBeginning: true })
  let left = options.n
  await new Promise((resolve, reject) => {
    c.on(c.events.CRASH, (e) => reject(e.payload.error))
    c.run({
      eachMessage: async ({ topic, partition, message }) => {
        if (left > 0) write(fromMessage(topic, partition, message))
        if (--left === 0) resolve()
      },
    })
  })
  await c.disconnect()
}

async function member () {
  const c = consumer(options.group)
  c.on(c.events.GROUP_JOIN, (e) => {
    write({ assigned: e.payload.memberAssignment[options.topic] ?? [] })
  })
  c.on(c.events.REBALANCING, () => write({ assigned: [] }))
  await c.connect()
  await c.subscribe({ topic: options.topic, fromBeginning: true })
  await c.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ topic, partition, message }) => {
      write({ record: fromMessage(topic, partition, message) })
    },
  })
  for await (const _ of readline.createInterface({ input: process.stdin })) { /* until it ends */ }
  await c.disconnect()
}

const roles = { producer, admin, reader, member }
roles[role]().then(() => end(0), (e) => {
  console.error(e)
  end(1)
})

// end waits until what was written has left: a pipe takes it piece by piece.
function end (code) {
  process.stdout.write('', () => process.exit(code))
}
