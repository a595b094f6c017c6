// Runs a job queue through its paces as one tenant: everything that BullMQ does
// goes through Lua scripts that build most of their key names themselves.
//
// The server's address and the login come in the environment. Another tenant
// runs the same at the same time, with the same names of queues; every job says
// whose it is, and a job of somebody else ends the program with an error.
'use strict'

const assert = require('node:assert/strict')
const { setTimeout: sleep } = require('node:timers/promises')
const { Queue, Worker, QueueEvents, FlowProducer, DelayedError } = require('bullmq')
const Redis = require('ioredis')

const tenant = process.env.TENANT
const connection = {
  host: process.env.REDIS_HOST,
  port: Number(process.env.REDIS_PORT),
  username: process.env.REDIS_USER || undefined,
  password: process.env.REDIS_PASSWORD || undefined,
  maxRetriesPerRequest: null,
}

const open = [] // what has to be closed when a step ends

function fail (err) {
  console.error(`${tenant}:`, err)
  process.exit(1)
}

function keep (thing) {
  thing.on('error', fail)
  open.push(thing)
  return thing
}

const queue = (name) => keep(new Queue(name, { connection }))
const events = async (name) => {
  const e = keep(new QueueEvents(name, { connection }))
  await e.waitUntilReady()
  return e
}

// A worker that refuses jobs of other tenants.
function worker (name, process, opts = {}) {
  return keep(new Worker(name, async (job, token) => {
    if (job.data.tenant !== tenant) fail(new Error(`got a job of ${JSON.stringify(job.data)}`))
    return process(job, token)
  }, { connection, drainDelay: 1, ...opts }))
}

const data = (more) => ({ tenant, ...more })

async function eventually (what, ok) {
  for (const end = Date.now() + 15000; Date.now() < end; await sleep(20)) {
    if (await ok()) return
  }
  throw new Error(`did not come about: ${what}`)
}

const numbers = (n) => Array.from({ length: n }, (_, i) => i)

const steps = {
  async 'many jobs, several workers' () {
    const q = queue('work')
    const e = await events('work')
    const completed = new Set()
    e.on('completed', ({ jobId, returnvalue }) => completed.add(`${jobId} ${returnvalue}`))
    const seen = []
    for (const w of numbers(3)) {
      worker('work', async (job) => {
        await job.updateProgress(50)
        await job.log(`worker ${w}`)
        seen.push(job.data.n)
        return job.data.n * 2
      }, { concurrency: 5, name: `w${w}` })
    }
    const jobs = await q.addBulk(numbers(200).map((n) => ({ name: 'double', data: data({ n }) })))
    assert.equal(jobs[0].id, '1')
    assert.equal(await jobs[199].waitUntilFinished(e, 15000), 398)
    await eventually('200 completed events', () => completed.size === 200)
    assert.deepEqual(seen.sort((a, b) => a - b), numbers(200))
    for (const job of jobs) assert.ok(completed.has(`${job.id} ${job.data.n * 2}`))
    await eventually('200 in the counts', async () => (await q.getJobCounts()).completed === 200)
    const counts = await q.getJobCounts()
    assert.equal(counts.waiting + counts.active + counts.failed + counts.delayed, 0)
    const job = await q.getJob(jobs[7].id)
    assert.equal(job.progress, 50)
    assert.equal(await job.getState(), 'completed')
    assert.equal((await q.getJobLogs(job.id)).count, 1)
    assert.equal((await q.getCompleted(0, -1)).length, 200)
    // CLIENT LIST must show this tenant's workers and nobody else's.
    await eventually('three workers are listed', async () => (await q.getWorkers()).length === 3)
    assert.deepEqual((await q.getWorkers()).map((w) => w.rawname.split(':').pop()).sort(), ['w0', 'w1', 'w2'])
    assert.equal((await q.getQueueEvents()).length, 1)
    const cleaned = await q.clean(0, 1000, 'completed')
    assert.equal(cleaned.length, 200)
    assert.equal((await q.getJobCounts()).completed, 0)
  },

  async 'delayed' () {
    const q = queue('delayed')
    const order = []
    const added = Date.now()
    let first = 0
    await q.add('late', data({ n: 2 }), { delay: 400 })
    await q.add('soon', data({ n: 1 }), { delay: 150 })
    const far = await q.add('promoted', data({ n: 0 }), { delay: 3600000 })
    assert.equal((await q.getDelayed()).length, 3)
    worker('delayed', async (job) => {
      if (job.name === 'soon') first = Date.now() - added
      order.push(job.data.n)
    })
    await far.promote()
    await eventually('all ran', () => order.length === 3)
    assert.deepEqual(order, [0, 1, 2])
    assert.ok(first >= 140, `ran after ${first} ms`)
    const moved = await q.add('moved', data({ n: 3 }), { delay: 3600000 })
    await moved.changeDelay(100)
    await eventually('the one with a new delay ran', () => order.length === 4)
  },

  async 'prioritised' () {
    const q = queue('prio')
    await q.pause()
    for (const priority of [30, 10, 20, 0, 10]) await q.add('p', data({ priority }), { priority })
    assert.deepEqual(await q.getCountsPerPriority([0, 10, 20, 30]), { 0: 1, 10: 2, 20: 1, 30: 1 })
    const last = await q.add('p', data({ priority: 5 }), { priority: 90 })
    await last.changePriority({ priority: 5 })
    const order = []
    worker('prio', async (job) => { order.push(job.data.priority) }, { concurrency: 1 })
    await q.resume()
    await eventually('all ran', () => order.length === 6)
    assert.deepEqual(order, [0, 5, 10, 10, 20, 30])
  },

  async 'failing and retried' () {
    const q = queue('retry')
    const e = await events('retry')
    const failures = []
    e.on('failed', ({ jobId, failedReason }) => failures.push(failedReason))
    let good = false
    worker('retry', async (job) => {
      if (job.name === 'flaky' && job.attemptsMade < 2) throw new Error(`attempt ${job.attemptsMade}`)
      if (job.name === 'hopeless' && !good) throw new Error('hopeless')
      return job.attemptsMade
    })
    const flaky = await q.add('flaky', data(), { attempts: 5, backoff: { type: 'exponential', delay: 40 } })
    assert.equal(await flaky.waitUntilFinished(e, 15000), 2)
    const hopeless = await q.add('hopeless', data(), { attempts: 2, backoff: 20 })
    await assert.rejects(hopeless.waitUntilFinished(e, 15000), /hopeless/)
    await eventually('it is listed as failed', async () => (await q.getFailed()).length === 1)
    const [failed] = await q.getFailed()
    assert.equal(failed.failedReason, 'hopeless')
    assert.equal(failed.attemptsMade, 2)
    assert.ok(failed.stacktrace.length > 0)
    good = true
    await failed.retry('failed')
    await eventually('the retried one completes', async () => (await failed.getState()) === 'completed')
    assert.ok(failures.includes('hopeless'))
  },

  async 'repeated' () {
    const q = queue('repeat')
    let ticks = 0
    worker('repeat', async () => { ticks++ })
    await q.upsertJobScheduler('tick', { every: 100 }, { name: 'tick', data: data() })
    await eventually('four ticks', () => ticks >= 4)
    const schedulers = await q.getJobSchedulers()
    assert.deepEqual(schedulers.map((s) => s.key), ['tick'])
    assert.equal(await q.removeJobScheduler('tick'), true)
    assert.equal(await q.getJobSchedulersCount(), 0)
  },

  async 'rate limiter' () {
    const q = queue('limited')
    const began = Date.now()
    let done = 0
    for (const n of numbers(2)) worker('limited', async () => { done++ }, { limiter: { max: 4, duration: 250 }, name: `l${n}` })
    await q.addBulk(numbers(12).map((n) => ({ name: 'l', data: data({ n }) })))
    await eventually('all ran', () => done === 12)
    const took = Date.now() - began
    assert.ok(took >= 400, `12 jobs at 4 per 250 ms took ${took} ms`)
  },

  async 'flows' () {
    const flow = keep(new FlowProducer({ connection }))
    const e = await events('parents')
    worker('children', async (job) => job.data.n * 10, { concurrency: 3 })
    worker('parents', async (job) => {
      const values = Object.values(await job.getChildrenValues())
      return values.reduce((a, b) => a + b, 0)
    })
    const tree = await flow.add({
      name: 'top',
      queueName: 'parents',
      data: data(),
      children: [
        { name: 'a', queueName: 'children', data: data({ n: 1 }) },
        { name: 'b', queueName: 'children', data: data({ n: 2 }) },
        {
          name: 'middle',
          queueName: 'parents',
          data: data(),
          children: numbers(5).map((n) => ({ name: 'c', queueName: 'children', data: data({ n: n + 3 }) })),
        },
      ],
    })
    assert.equal(await tree.job.waitUntilFinished(e, 15000), 10 + 20 + (3 + 4 + 5 + 6 + 7) * 10)
    const read = await flow.getFlow({ id: tree.job.id, queueName: 'parents' })
    assert.equal(read.children.length, 3)
    assert.deepEqual(await tree.job.getDependenciesCount(), { processed: 3, unprocessed: 0, ignored: 0, failed: 0 })
  },

  async 'pause and resume' () {
    const q = queue('paused')
    let done = 0
    const w = worker('paused', async () => { done++ })
    await w.waitUntilReady()
    await q.pause()
    assert.equal(await q.isPaused(), true)
    for (const n of numbers(5)) await q.add('p', data({ n }))
    await sleep(200)
    assert.equal(done, 0)
    assert.equal(await q.count(), 5)
    await q.resume()
    await eventually('all ran', () => done === 5)
    await w.pause()
    await q.add('p', data())
    await sleep(100)
    assert.equal(done, 5)
    w.resume()
    await eventually('the last ran', () => done === 6)
  },

  async 'locks and duplicates' () {
    const q = queue('locks')
    let runs = 0
    // The job takes three times as long as its lock, which is renewed meanwhile.
    worker('locks', async () => { runs++; await sleep(900) }, { lockDuration: 300, stalledInterval: 200, concurrency: 2 })
    const first = await q.add('long', data(), { jobId: 'once' })
    const second = await q.add('long', data(), { jobId: 'once' })
    assert.equal(first.id, second.id)
    const same = await q.add('other', data(), { deduplication: { id: 'same', ttl: 5000 } })
    const again = await q.add('other', data(), { deduplication: { id: 'same', ttl: 5000 } })
    assert.equal(await q.getDeduplicationJobId('same'), same.id)
    assert.equal(again.id, same.id)
    await eventually('both complete', async () => (await q.getJobCounts()).completed === 2)
    assert.equal(runs, 2)
  },

  async 'failing children' () {
    const flow = keep(new FlowProducer({ connection }))
    worker('kids', async (job) => { if (job.data.bad) throw new Error('bad child') })
    worker('elders', async (job) => Object.keys(await job.getIgnoredChildrenFailures()).length)
    const e = await events('elders')
    const family = (opts) => flow.add({
      name: 'elder',
      queueName: 'elders',
      data: data(),
      children: [
        { name: 'kid', queueName: 'kids', data: data() },
        { name: 'kid', queueName: 'kids', data: data({ bad: true }), opts },
      ],
    })
    const fails = await family({ failParentOnFailure: true })
    await assert.rejects(fails.job.waitUntilFinished(e, 15000), /child .* failed/)
    const ignores = await family({ ignoreDependencyOnFailure: true })
    assert.equal(await ignores.job.waitUntilFinished(e, 15000), 1)
  },

  async 'maintenance' () {
    const q = queue('care')
    const add = (n, opts) => q.add('care', data({ n }), opts)
    await q.setGlobalConcurrency(1)
    assert.equal(await q.getGlobalConcurrency(), 1)
    const far = []
    for (const n of numbers(4)) far.push(await add(n, { delay: 3600000 }))
    await far[0].updateData(data({ n: 'new' }))
    assert.equal((await q.getJob(far[0].id)).data.n, 'new')
    await far[1].remove()
    assert.equal(await q.remove(far[2].id), 1)
    assert.equal(await q.getDelayedCount(), 2)
    await q.promoteJobs()
    assert.equal(await q.getWaitingCount(), 2)
    let inside = 0
    let broken = true
    for (const n of numbers(2)) {
      worker('care', async (job, token) => {
        if (++inside > 1) fail(new Error('two jobs at once'))
        try {
          await sleep(10)
          if (job.data.later && job.attemptsStarted < 2) {
            await job.moveToDelayed(Date.now() + 50, token)
            throw new DelayedError()
          }
          if (job.data.n === 'broken' && broken) throw new Error('broken')
        } finally {
          inside--
        }
      }, { concurrency: 3, name: `c${n}`, metrics: { maxDataPoints: 60 } })
    }
    await eventually('the promoted ran', async () => (await q.getCompletedCount()) === 2)
    await q.add('care', data({ later: true }))
    await eventually('the one that put itself off ran', async () => (await q.getCompletedCount()) === 3)
    for (let n = 0; n < 3; n++) await add('broken')
    await eventually('three failed', async () => (await q.getFailedCount()) === 3)
    broken = false
    await q.retryJobs({ state: 'failed' })
    await eventually('all were retried', async () => (await q.getCompletedCount()) === 6)
    assert.equal((await q.getJobs(['completed', 'failed', 'waiting'], 0, -1, true)).length, 6)
    assert.equal((await q.getMetrics('completed')).meta.count, 6)
    await q.trimEvents(2)
    await q.removeOrphanedJobs()
    assert.equal((await q.getMeta()).concurrency, 1)
    await q.removeGlobalConcurrency()
    await q.rateLimit(5000)
    assert.ok(await q.getRateLimitTtl() > 0)
    await q.removeRateLimitKey()
  },

  async 'drain and obliterate' () {
    const q = queue('gone')
    await q.addBulk(numbers(50).map((n) => ({ name: 'never', data: data({ n }), opts: n % 2 ? { delay: 60000 } : {} })))
    await q.drain()
    assert.equal((await q.getJobCounts()).waiting, 0)
    assert.equal((await q.getJobCounts()).delayed, 25)
    const all = keep(new Redis(connection))
    assert.ok((await all.keys('bull:gone:*')).length > 25)
    await q.obliterate({ force: true })
    assert.deepEqual(await all.keys('bull:gone:*'), [])
    const prom = await queue('work').exportPrometheusMetrics()
    assert.match(prom, /bullmq_job_count/)
  },
}

async function main () {
  for (const [name, step] of Object.entries(steps)) {
    const began = Date.now()
    await step()
    // Workers first, so that none is left to complain that its queue is gone.
    for (const thing of open.splice(0).reverse()) await (thing.close ? thing.close() : thing.quit())
    console.log(`ok ${name} (${Date.now() - began} ms)`)
  }
  console.log('all done')
}

process.on('unhandledRejection', fail)
main().then(() => process.exit(0), fail)
