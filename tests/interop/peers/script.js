// What a client says in the conversation of a number, as in Script.h. For Node and for pages.
'use strict'
;(() => {
  const tableSize = 65536
  const mebi = 1024 * 1024
  const largest = 16 * mebi

  class Chance {
    constructor(seed) { this.state = (Math.imul(seed, 2654435761) + 88172645) >>> 0 || 1 }
    below(limit) {
      this.state ^= this.state << 13
      this.state ^= this.state >>> 17
      this.state ^= this.state << 5
      return (this.state >>> 4) % limit
    }
  }

  const tables = (() => {
    const bytes = new Uint8Array(tableSize)
    const some = new Chance(0)
    for (let i = 0; i < tableSize; ++i) bytes[i] = some.below(256)
    const alphabet = [...'abcdefghij \0\x7f\x80é\u07ff\u0800世\ud7ff\ue000\uffff\u{10000}😀\u{10ffff}'].map(c => new TextEncoder().encode(c))
    const text = new Uint8Array(tableSize + 4)
    const other = new Chance(1)
    for (let size = 0; size < tableSize;) {
      const character = alphabet[other.below(alphabet.length)]
      text.set(character, size)
      size += character.length
    }
    return { bytes, text }
  })()

  function content(chance, isText, size) {
    const table = isText ? tables.text : tables.bytes
    const inside = at => isText && (table[at] & 0xc0) === 0x80
    const length = Math.min(chance.below(2) === 1 ? 1 + chance.below(40) : 50000, size)
    let start = chance.below(tableSize - length)
    let end = start + length
    while (start < end && inside(start)) ++start
    while (start < end && inside(end)) --end
    const whole = new Uint8Array(size).fill(46)
    if (start === end) return whole
    const rounds = Math.floor(size / (end - start)) * (end - start)
    whole.set(table.subarray(start, end).subarray(0, rounds))
    for (let done = end - start; done < rounds; done *= 2) whole.copyWithin(done, 0, Math.min(done, rounds - done))
    return whole
  }

  function skewedSize(chance) {
    const where = chance.below(1000)
    if (where < 60) return [0, 125, 126, 127, 65535, 65536][chance.below(6)]
    return chance.below(where < 800 ? 300 : where < 960 ? 5000 : where < 995 ? 70000 : mebi)
  }

  function makeStep(chance, number, first, last) {
    const kind = chance.below(8)
    let size = 0
    if (first && number % 1000 === 999) size = largest
    else if (first && number % 500 === 249) size = mebi + chance.below(largest - mebi)
    if (kind === 0 && !last && size === 0) return { kind: 'ping', data: content(chance, false, chance.below(126)), cuts: [] }
    if (size === 0) size = skewedSize(chance)
    const data = content(chance, kind < 5, size)
    const how = chance.below(16)
    const count = how < 10 ? 0 : how < 15 ? 1 + chance.below(8) : 1 + chance.below(64)
    const cuts = Array.from({ length: count }, () => chance.below(size + 1)).sort((a, b) => a - b)
    return { kind: kind < 5 ? 'text' : 'binary', data, cuts }
  }

  function makeScript(number) {
    const chance = new Chance(number + 2)
    const count = 1 + chance.below(8)
    const steps = Array.from({ length: count }, (_, i) => makeStep(chance, number, i === 0, i + 1 === count))
    const pipelined = chance.below(2) === 1
    const how = chance.below(4)
    let code = 0
    if (how === 1) code = 1000
    else if (how === 2) code = 3000 + chance.below(2000)
    else if (how === 3) code = [1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011][chance.below(8)]
    const reason = how !== 0 ? content(chance, true, chance.below(124)) : new Uint8Array(0)
    return { steps, pipelined, code, reason }
  }

  globalThis.interop = { Chance, makeScript }
})()
