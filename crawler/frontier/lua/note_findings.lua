-- note_findings.lua: since when each thing that a check found is there; what it found no more is forgotten.
-- KEYS  `findings`
-- ARGS  gone
-- REST  as many digests of what is gone; then digests, each with its time in seconds
-- RETURNS OK | NO_CRAWL | DELETING | OOM
local no = refusal() or deleting() or full()
if no then
  return { no }
end
local FINDINGS, behind = KEYS[OWN_KEYS], REST + tonumber(ARG.gone)
for i = REST, behind - 1 do
  redis.call('HDEL', FINDINGS, ARGV[i])
end
for i = behind, #ARGV, 2 do
  redis.call('HSET', FINDINGS, ARGV[i], ARGV[i + 1])
end
return { 'OK' }
