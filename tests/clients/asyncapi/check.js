// Reads AsyncAPI documents by AsyncAPI's own parser, and ends with what it finds wrong with them.
const fs = require('fs')
const { Parser } = require('@asyncapi/parser')

const serious = new Set([0, 1]) // errors and warnings; the rest is advice

async function check(file) {
  const { document, diagnostics } = await new Parser().parse(fs.readFileSync(file, 'utf8'))
  const wrong = diagnostics.filter((d) => serious.has(d.severity))
  wrong.forEach((d) => console.error(`${file}: ${d.path.join('/')}: ${d.message}`))
  if (document) console.log(`${file}: ${document.operations().all().length} operations`)
  return wrong.length === 0 && document !== undefined
}

Promise.all(process.argv.slice(2).map(check)).then((all) => process.exit(all.every(Boolean) ? 0 : 1))
