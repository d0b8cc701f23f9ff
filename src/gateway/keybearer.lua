-- Asks a keybearer gateway whether a request may pass, and adds its identity headers. Load it in HAProxy 2.6 or later:
--
--   setenv GATEWAY_URL http://127.0.0.1:3000/
--   lua-load-per-thread keybearer.lua
--
-- set GATEWAY_TOKEN as well if the gateway has a token,
-- and call it in a frontend, after deleting every spelling of the identity headers:
--
--   http-request lua.keybearer
--   http-request deny deny_status 503 unless { var(txn.keybearer) -m str allow }

local url = os.getenv("GATEWAY_URL")
local token = os.getenv("GATEWAY_TOKEN")
if url == nil then error("GATEWAY_URL is not set") end

local TIMEOUT_MS = 5000
local IDENTITY = { "x-auth-key-id", "x-auth-owner", "x-auth-scopes", "x-auth-environment", "x-auth-assertion" }
local UNAVAILABLE = '{"message":"The request cannot be verified right now. Try again later.","code":"unavailable"}'

-- Returns the headers of the client, without those that belong to its body or connection, or that this file sets.
local function client_headers(txn)
  local dropped = {
    ["connection"] = true, ["content-length"] = true, ["content-type"] = true, ["transfer-encoding"] = true,
    ["expect"] = true, ["upgrade"] = true, ["te"] = true, ["host"] = true, ["x-gateway-token"] = true,
    ["x-original-method"] = true, ["x-original-uri"] = true, ["x-forwarded-for"] = true,
  }
  local headers = {}
  for name, values in pairs(txn.http:req_get_headers()) do
    if not dropped[name] then
      headers[name] = {}
      for i = 0, #values do table.insert(headers[name], values[i]) end
    end
  end
  return headers
end

local function deny(txn, status, headers, body)
  local reply = txn:reply({ status = status, body = body })
  for name, values in pairs(headers) do
    if name ~= "content-length" and name ~= "connection" and name ~= "transfer-encoding" and name ~= "date" then
      for i = 0, #values do
        if values[i] ~= nil then reply:add_header(name, values[i]) end
      end
    end
  end
  txn:done(reply)
end

core.register_action("keybearer", { "http-req" }, function(txn)
  local headers = client_headers(txn)
  headers["x-original-method"] = { txn.sf:method() }
  headers["x-original-uri"] = { txn.sf:url() }
  headers["x-forwarded-for"] = { txn.sf:src() }
  if token ~= nil then headers["x-gateway-token"] = { token } end

  local response = core.httpclient():get({ url = url, headers = headers, timeout = TIMEOUT_MS })
  local status = response and response.status or 0
  if status == 200 then
    for _, name in ipairs(IDENTITY) do
      txn.http:req_del_header(name)
      local values = response.headers[name]
      if values ~= nil then txn.http:req_set_header(name, values[0] or values[1]) end
    end
    txn:set_var("txn.keybearer", "allow")
  elseif status == 401 or status == 403 or status == 429 or status == 503 then
    deny(txn, status, response.headers, response.body)
  else
    deny(txn, 503, { ["content-type"] = { [0] = "application/json" } }, UNAVAILABLE)
  end
end, 0)
