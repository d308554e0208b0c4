-- release.lua: give leases back unused: their URLs go to the front of their queues, not charged. Hosts rest for their
-- delay: a request may have been on its way that was broken off.
-- REST  tokens in the order in which they were leased
-- RETURNS OK number | NO_CRAWL
local no = refusal()
if no then
  return { no }
end
for i = REST, #ARGV do
  local value = redis.call('HGET', LEASED, ARGV[i])
  if value then
    touch(read_lease(value).host or '')
  end
end
local released = 0
for i = #ARGV, REST, -1 do
  local lease = end_lease(ARGV[i])
  if lease then
    if lease.kind == 'P' then
      requeue(lease, 'LEFT', 0)
    end
    rest_again(lease.host)
    settle(lease.host)
    released = released + 1
  end
end
return { 'OK', released }
