-- A front end of rpyc_kernel: one live Python that this editor shares with others, leaves, and comes back to.
-- Everything goes through `rpyc-kernel serve --stdio`; see docs/reference/protocol.md of the project.

local M = { config = { command = { "rpyc-kernel" }, kernel = "default", wait_ms = 1000 } }

-- `asking`: the prompts by their executions; `prompt`: the one that is open; `missed`: the last event that was missed.
local state = { rpc = nil, kernel = nil, address = nil, buffer = nil, window = nil, asking = {}, own = {} }

local CANCELLED = "\27"

local function given(value) -- JSON's null is no nil
  return value ~= vim.NIL and value or nil
end

local function say(text, level)
  vim.notify("rpyc_kernel: " .. text, level or vim.log.levels.INFO)
end

local function session_file(address)
  return vim.fn.stdpath("data") .. "/rpyc_kernel/" .. vim.fn.sha256(address) -- which may hold a secret
end

-- ---------------------------------------------------------------- output

local function output_buffer()
  if not (state.buffer and vim.api.nvim_buf_is_valid(state.buffer)) then
    state.buffer = vim.api.nvim_create_buf(false, true)
    vim.bo[state.buffer].filetype = "rpyc-kernel"
  end
  return state.buffer
end

function M.show_output()
  if not (state.window and vim.api.nvim_win_is_valid(state.window)) then
    local here = vim.api.nvim_get_current_win()
    vim.cmd("botright 12split")
    state.window = vim.api.nvim_get_current_win()
    vim.api.nvim_win_set_buf(state.window, output_buffer())
    vim.api.nvim_set_current_win(here)
  end
end

local function write(text)
  local buffer = output_buffer()
  local count = vim.api.nvim_buf_line_count(buffer)
  text = vim.api.nvim_buf_get_lines(buffer, count - 1, count, false)[1] .. text
  -- Colours are for terminals; what a carriage return has written over is gone.
  text = text:gsub("\27%[[%d;]*m", ""):gsub("\r+\n", "\n"):gsub("[^\n]*\r([^\n\r])", "%1")
  local lines = vim.split(text, "\n", { plain = true })
  vim.api.nvim_buf_set_lines(buffer, count - 1, count, false, lines)
  if state.window and vim.api.nvim_win_is_valid(state.window) then
    vim.api.nvim_win_set_cursor(state.window, { vim.api.nvim_buf_line_count(buffer), 0 })
  end
end

local function write_line(text)
  local buffer = output_buffer()
  local last = vim.api.nvim_buf_get_lines(buffer, -2, -1, false)[1]
  write((last == "" and "" or "\n") .. text .. "\n")
end

local function write_data(event)
  local data = given(event.data) or {}
  local plain = given(data["text/plain"])
  for mime, _ in pairs(given(event.omitted) or {}) do
    plain = plain or ("<" .. mime .. ", too long to show>")
  end
  for mime, _ in pairs(data) do
    if mime:match("^image/") then
      plain = "<" .. mime .. (plain and ", " .. plain or "") .. ">"
    end
  end
  write_line(plain or "")
end

-- ---------------------------------------------------------------- prompts

local function ask(event)
  local asked = { prompt = event.prompt .. " ", cancelreturn = CANCELLED }
  state.prompt = event.execution
  vim.cmd("redraw") -- nothing is drawn while it waits
  local text = event.password and vim.fn.inputsecret(asked.prompt) or vim.fn.input(asked)
  state.prompt = nil
  if text ~= CANCELLED and state.asking[event.execution] then -- else it is left to others, or one was quicker
    M.request("kernel/answer_input", { execution = event.execution, text = text })
  end
  state.asking[event.execution] = nil
end

local function stop_asking(event)
  state.asking[event.execution] = nil
  if state.prompt and state.prompt == event.execution then
    state.prompt = nil
    vim.api.nvim_input("<Esc>")
  end
end

-- ---------------------------------------------------------------- events

local show = {}

function show.queued(event)
  local whose = state.own[event.session] and "" or event.name .. " "
  write_line(("%s[%d] %s"):format(whose, event.execution, event.code:gsub("\n", "\n    ")))
end

show.stream = function(event) write(event.text) end
show.display, show.page, show.result = write_data, write_data, write_data

show.error = function(event) write_line(event.traceback) end

function show.input_requested(event)
  if not given(event.execution) or not state.own[event.session] then
    write_line("somebody is asked: " .. event.prompt)
  elseif not state.asking[event.execution] then
    state.asking[event.execution] = event
    vim.schedule(function() return state.asking[event.execution] and ask(event) end) -- one may have been quicker
  end
end

show.input_answered = stop_asking

function show.finished(event)
  stop_asking(event)
  if event.outcome ~= "ok" and event.outcome ~= "error" then
    write_line(("[%d] %s %s"):format(event.execution, event.outcome, given(event.reason) or ""))
  end
end

show.worker_died = function(event) write_line("the worker has ended: " .. (given(event.reason) or "")) end

function show.worker_started(event)
  if event.generation > 1 then
    write_line("a new worker has started, with a new namespace")
  end
end

local function take_events(params)
  for _, event in ipairs(params.events) do
    if show[event.kind] then
      show[event.kind](event)
    end
    if event.seq == state.missed then
      write_line("and this is now")
    end
  end
  local cursor = params.cursor
  for _, asked in pairs(state.asking) do -- who comes back is asked again
    cursor = math.min(cursor, asked.seq - 1)
  end
  state.rpc.notify("kernel/acknowledge", { kernel = params.kernel, cursor = cursor })
end

local function take_notification(method, params)
  if method == "events" then
    take_events(params)
  elseif method == "connection" and not params.is_connected then
    write_line("connection: " .. params.message)
    if params.is_closed then
      M.leave()
    end
  elseif method == "connection" then
    write_line("connected again")
  end
end

-- ---------------------------------------------------------------- the server

local function start_server()
  local rpc
  local words = vim.list_extend(vim.list_slice(M.config.command), { "serve", "--stdio" })
  if vim.fn.executable(words[1]) == 0 then
    return say(words[1] .. " is not found: install rpyc-kernel, or set command in setup()", vim.log.levels.WARN)
  end
  local dispatchers = {
    notification = take_notification,
    on_exit = vim.schedule_wrap(function(status)
      if state.rpc == rpc then
        state.rpc, state.kernel = nil, nil
      end
      if status ~= 0 and status ~= 143 then
        say("the server has ended with status " .. status, vim.log.levels.WARN)
      end
    end),
  }
  local arguments = { words[1], vim.list_slice(words, 2), dispatchers }
  rpc = vim.lsp.rpc.start(unpack(vim.fn.has("nvim-0.11") == 1 and { words, dispatchers } or arguments))
  return rpc
end

function M.request(method, params, take)
  if not state.rpc then
    return say("not connected: use :Kernel NAME first", vim.log.levels.WARN)
  end
  params = params or {}
  params.kernel = state.kernel
  return state.rpc.request(method, params, function(problem, result)
    if problem then
      say(problem.message, vim.log.levels.WARN)
    elseif take then
      take(given(result))
    end
  end)
end

local function request_and_wait(method, params)
  local found
  local sent = M.request(method, params, function(result)
    found = result
  end)
  return sent and vim.wait(M.config.wait_ms, function() return found ~= nil end, 5) and found
end

function M.connect(call)
  local address = call.args ~= "" and call.args or M.config.kernel
  M.leave()
  state.address = address
  state.rpc = start_server()
  if not state.rpc then
    return
  end
  local known, lines = pcall(vim.fn.readfile, session_file(address), "", 1)
  local params = { address = address, start = not address:find("[/:]"), session = known and lines[1] or nil }
  M.request("connect", params, function(told)
    state.kernel = told.kernel
    state.own = { [told.session] = true }
    vim.fn.mkdir(vim.fn.stdpath("data") .. "/rpyc_kernel", "p", 448) -- 0700
    vim.fn.writefile({ told.session }, session_file(address))
    M.show_output()
    pcall(vim.api.nvim_buf_set_name, state.buffer, "kernel://" .. address)
    write_line(("connected to %s as %s (%s)"):format(told.name, told.client_name, told.role))
    local has_missed = given(told.cursor) and told.cursor < told.last
    if has_missed then
      write_line("while you were away:")
    end
    state.asking, state.missed = {}, has_missed and told.last
    M.request("events/subscribe", { resume = given(told.cursor) ~= nil })
  end)
end

function M.leave()
  if state.rpc then
    state.rpc.notify("exit", vim.empty_dict())
  end
  state.rpc, state.kernel = nil, nil
end

-- ---------------------------------------------------------------- running

local function send_lines(first, last)
  local lines = vim.api.nvim_buf_get_lines(0, first - 1, last, false)
  local file = vim.api.nvim_buf_get_name(0)
  local source = file ~= "" and { file = file, first_line = first } or nil
  M.show_output()
  M.request("kernel/execute", { code = table.concat(lines, "\n"), source = source })
end

function M.send(call)
  if call.range > 0 then
    return send_lines(call.line1, call.line2)
  end
  local here, lines = vim.api.nvim_win_get_cursor(0)[1], vim.api.nvim_buf_get_lines(0, 0, -1, false)
  local first, last = here, here
  local marker = "^# ?%%%%"
  while first > 1 and not lines[first]:match(marker) do
    first = first - 1
  end
  while last < #lines and not lines[last + 1]:match(marker) do
    last = last + 1
  end
  send_lines(first, last)
end

function M.send_file()
  vim.cmd("silent update")
  M.show_output()
  M.request("kernel/execute", { code = "# " .. vim.fn.expand("%:t"), source = { path = vim.fn.expand("%:p") } })
end

for _, name in ipairs({ "interrupt", "restart" }) do
  M[name] = function() M.request("kernel/" .. name) end
end

-- ---------------------------------------------------------------- looking

-- The lines around the cursor as code, and where in them it stands.
local function code_here()
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local lines = vim.api.nvim_buf_get_lines(0, 0, row, false)
  local before = table.concat(vim.list_slice(lines, 1, row - 1), "\n") .. (row > 1 and "\n" or "")
  return table.concat(lines, "\n"), vim.str_utfindex(before) + vim.str_utfindex(lines[row], column)
end

function M.omnifunc(find_start, base)
  if find_start == 1 then
    local code, cursor = code_here()
    state.found = request_and_wait("kernel/complete", { code = code, cursor = cursor })
    if not state.found then
      return -3
    end
    local column = vim.api.nvim_win_get_cursor(0)[2]
    local line = vim.api.nvim_get_current_line()
    return vim.str_byteindex(line, vim.str_utfindex(line, column) - (cursor - state.found.start))
  end
  local items = {}
  for _, item in ipairs(state.found and state.found.items or {}) do
    table.insert(items, { word = item.text, kind = item.kind:sub(1, 1), menu = item.kind })
  end
  return items
end

local function float(text)
  vim.lsp.util.open_floating_preview(vim.split(text, "\n"), "python", { border = "single" })
end

function M.hover()
  local code, cursor = code_here()
  M.request("kernel/inspect", { code = code, cursor = cursor, source = false }, function(found)
    local head = found.name .. found.signature .. ": " .. (found.found and found.type or "nothing is known of it")
    float((table.concat({ head, found.preview, found.doc }, "\n\n"):gsub("\n\n\n+", "\n\n")))
  end)
end

function M.signature()
  local code, cursor = code_here()
  M.request("kernel/signatures", { code = code, cursor = cursor }, function(found)
    if #found == 0 then
      return say("nothing is called here")
    end
    float(found[1].name .. found[1].text)
  end)
end

-- ---------------------------------------------------------------- variables

local function show_page(title, items, is_child)
  local buffer = vim.api.nvim_create_buf(false, true)
  local lines = {}
  for _, item in ipairs(items) do
    local mark = item.has_children and "+ " or "  "
    table.insert(lines, mark .. item.name .. ": " .. item.type .. " = " .. item.preview:gsub("\n", " "))
  end
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, #lines > 0 and lines or { "(nothing)" })
  vim.bo[buffer].bufhidden, vim.bo[buffer].modifiable = "wipe", false
  if not is_child then
    vim.cmd("vertical botright split")
  end
  vim.api.nvim_win_set_buf(0, buffer)
  vim.api.nvim_buf_set_name(buffer, "kernel-variables://" .. buffer .. "/" .. title)
  vim.keymap.set("n", "<CR>", function()
    local item = items[vim.api.nvim_win_get_cursor(0)[1]]
    if item and item.has_children then
      M.request("kernel/children", { path = item.path }, function(page)
        show_page(item.path, page.items, true)
      end)
    end
  end, { buffer = buffer })
  vim.keymap.set("n", "-", M.variables, { buffer = buffer })
end

function M.variables()
  local is_child = vim.api.nvim_buf_get_name(0):match("^kernel%-variables:") ~= nil
  M.request("kernel/variables", {}, function(items) show_page("all", items, is_child) end)
end

function M.setup(config)
  M.config = vim.tbl_extend("force", M.config, config or {})
end

M.state = state
return M
