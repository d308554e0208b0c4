-- accepted.lua: which URLs were ever accepted, up to 1,000 a call; reads only.
-- KEYS  host and shared set of `seen` of each group
-- REST  of each group: host, number of ids, ids (see shared/seen.lua)
-- RETURNS OK, then a list for each group: 1 for each of its ids that was, else 0 | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
local reply, k, a = { 'OK' }, OWN_KEYS, REST
while a <= #ARGV do
  local host, n, first = ARGV[a], tonumber(ARGV[a + 1]), a + 2
  local count, found = seen_count(host, redis.call('HGET', KEYS[k], 'seen')), {}
  for i = 1, n do
    found[i] = 1
  end
  for _, place in ipairs(unseen(KEYS[k + 1], host, count, first, first + n - 1)) do
    found[place - first + 1] = 0
  end
  reply[#reply + 1] = found
  a, k = first + n, k + 2
end
return reply
