// What a server tells the process that measures it: see servers/announcement.py.
import readline from 'node:readline'

export function announce(server) {
  server.listen(0, '127.0.0.1', 2048, () => console.log(server.address().port))
  const questions = readline.createInterface({ input: process.stdin })
  questions.on('line', () => {
    const { user, system } = process.cpuUsage()
    console.log(JSON.stringify({ cpu: (user + system) / 1e6, resident: process.memoryUsage.rss() }))
  })
  questions.on('close', () => process.exit(0))
}
