-- reap.lua: take back leases past their deadline: their workers are gone or frozen. Pages go to the front of their
-- queues, with a crash counted. Robots leases vanish. Hosts rest for their delay: a request may just have been sent.
-- ARGS  most
-- RETURNS OK number ms_to_the_next_deadline (-1: none) | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
local overdue = redis.call('ZRANGEBYSCORE', LEASES, '-inf', T, 'LIMIT', 0, tonumber(ARG.most))
for _, token in ipairs(overdue) do
  local value = redis.call('HGET', LEASED, token)
  if value then
    touch(read_lease(value).host or '')
  end
end
for _, token in ipairs(overdue) do
  local lease = end_lease(token)
  if lease then
    if lease.kind == 'P' then
      requeue(lease, 'LEFT', CRASH)
    end
    rest_again(lease.host)
    settle(lease.host)
  end
end
local first = redis.call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')
return { 'OK', #overdue, #first > 0 and math.max((number(first[2]) or NEVER) - T, 0) or -1 }
