-- A front end of rpyc_kernel: one live Python that this editor shares with others, leaves, and comes back to.
-- Everything goes through `rpyc-kernel serve --stdio`; see docs/reference/protocol.md of the project.

local M = { config = { command = { "rpyc-kernel" }, kernel = "default" } }

-- Of the server: its connection, what it calls the kernel (nil until it is connected), and what is asked then.
local state = { rpc = nil, kernel = nil, address = nil, later = {}, prompts = {}, files = {}, buffer = nil }

local CANCELLED, LEFT_TO_OTHERS, PAGE = "\27", { code = -32800, message = "answered by kernel/answer_input" }, 1000

local function say(text)
  vim.notify("rpyc_kernel: " .. text, vim.log.levels.WARN)
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
  local window = state.window and vim.api.nvim_win_is_valid(state.window) and state.window
  local is_at_end = window and vim.api.nvim_win_get_cursor(window)[1] == count
  text = vim.api.nvim_buf_get_lines(buffer, count - 1, count, false)[1] .. text
  -- Colours are for terminals; what a carriage return has written over is gone.
  text = text:gsub("\27%[[%d;]*m", ""):gsub("\r+\n", "\n"):gsub("[^\n]*\r([^\n\r])", "%1")
  vim.api.nvim_buf_set_lines(buffer, count - 1, count, false, vim.split(text, "\n", { plain = true }))
  if is_at_end then
    vim.api.nvim_win_set_cursor(window, { vim.api.nvim_buf_line_count(buffer), 0 })
  end
end

local function write_line(text)
  local buffer = output_buffer()
  local last = vim.api.nvim_buf_get_lines(buffer, -2, -1, false)[1]
  write((last == "" and "" or "\n") .. text .. "\n")
end

local function write_data(event)
  local plain = event.data["text/plain"]
  for mime, _ in pairs(event.omitted or {}) do
    plain = plain or ("<" .. mime .. ", too long to show>")
  end
  for mime, _ in pairs(event.data) do
    if mime:match("^image/") then
      plain = "<" .. mime .. (plain and ", " .. plain or "") .. ">"
    end
  end
  write_line(plain or "")
end

-- ---------------------------------------------------------------- prompts

-- Ask the first that is neither being asked nor left to others, one at a time.
local function ask_next()
  for execution, prompt in pairs(state.asked and {} or state.prompts) do
    if not prompt.is_left then
      state.asked = execution
      vim.cmd("redraw") -- nothing is drawn while it waits
      local read = prompt.password and vim.fn.inputsecret or vim.fn.input
      local _, text = pcall(read, { prompt = prompt.prompt .. " ", cancelreturn = CANCELLED })
      state.asked, prompt.is_left = nil, true
      if text ~= CANCELLED and text ~= "Keyboard interrupt" and state.prompts[execution] == prompt then
        M.request("kernel/answer_input", { execution = execution, text = text })
      end
      return vim.schedule(ask_next)
    end
  end
end

local function take_prompt(_, prompt)
  state.prompts[prompt.execution] = prompt
  vim.schedule(ask_next)
  return nil, LEFT_TO_OTHERS -- this waits for no person
end

local function withdraw(execution)
  state.prompts[execution] = nil
  if state.asked == execution then
    vim.api.nvim_input("<Esc>")
  end
end

function M.answer()
  for _, prompt in pairs(state.prompts) do
    prompt.is_left = false
  end
  ask_next()
end

-- ---------------------------------------------------------------- events

local show = {}

function show.queued(event)
  local whose = event.session == state.session and "" or event.name .. " "
  write_line(("%s[%d] %s"):format(whose, event.execution, event.code:gsub("\n", "\n    ")))
end

function show.stream(event) write(event.text) end

function show.error(event) write_line(event.traceback) end

show.display, show.page, show.result = write_data, write_data, write_data

function show.input_requested(event)
  write_line(("%s asks: %s"):format(event.execution and "[" .. event.execution .. "]" or "something", event.prompt))
end

function show.input_answered(event) withdraw(event.execution) end

function show.finished(event)
  withdraw(event.execution)
  if event.outcome ~= "ok" and event.outcome ~= "error" then
    write_line(("[%d] %s %s"):format(event.execution, event.outcome, event.reason or ""))
  end
end

function show.worker_died(event) write_line("the worker has ended: " .. (event.reason or "")) end

function show.worker_started(event)
  if event.generation > 1 then write_line("a new worker has started, with a new namespace") end
end

local function take_events(params)
  for _, event in ipairs(params.events) do
    if show[event.kind] then show[event.kind](event) end
    if event.seq == state.missed then write_line("and this is now") end
  end
  state.rpc.notify("kernel/acknowledge", { kernel = params.kernel, cursor = params.cursor })
end

local function take_notification(method, params)
  if method == "events" then
    take_events(params)
  elseif method == "connection" then
    write_line(params.is_connected and "connected again" or "connection: " .. params.message)
    if params.is_closed then
      M.leave()
    end
  end
end

-- ---------------------------------------------------------------- the server

local function start_server()
  local rpc
  local words = vim.list_extend(vim.list_slice(M.config.command), { "serve", "--stdio" })
  if vim.fn.executable(words[1]) == 0 then
    return say(words[1] .. " is not found: install rpyc-kernel, or set command in setup()")
  end
  local dispatchers = {
    notification = function(method, params)
      if state.rpc == rpc then
        take_notification(method, params)
      end
    end,
    server_request = take_prompt,
    on_exit = vim.schedule_wrap(function()
      if state.rpc == rpc then
        local address = state.address
        M.leave()
        state.address = address
        write_line("the server has ended; the next command that needs it starts it again")
      end
    end),
  }
  local arguments = { words[1], vim.list_slice(words, 2), dispatchers }
  rpc = vim.lsp.rpc.start(unpack(vim.fn.has("nvim-0.11") == 1 and { words, dispatchers } or arguments))
  return rpc
end

function M.request(method, params, take)
  if not state.rpc and state.address then M.connect({ args = state.address }) end
  if not state.rpc then
    return say("not connected: use :Kernel NAME first")
  elseif not state.kernel then
    return table.insert(state.later, { method, params, take })
  end
  state.rpc.request(method, vim.tbl_extend("force", { kernel = state.kernel }, params or {}), function(problem, result)
    if problem then return say(problem.message) end
    if take then take(result) end
  end)
end

-- Where the session is kept, and who has it: the first whose editor is gone. The address may hold a secret.
local function take_file(address, number)
  local path = ("%s/rpyc_kernel/%s-%d"):format(vim.fn.stdpath("data"), vim.fn.sha256(address), number)
  local has_file, lines = pcall(vim.fn.readfile, path)
  if has_file and tonumber(lines[1]) ~= vim.fn.getpid() and vim.loop.kill(tonumber(lines[1]), 0) == 0 then
    return take_file(address, number + 1)
  end
  return { path = path, number = number, session = has_file and lines[2] or nil }
end

local function keep(file)
  vim.fn.mkdir(vim.fn.fnamemodify(file.path, ":h"), "p", 448) -- 0700
  vim.fn.writefile({ vim.fn.getpid(), file.session }, file.path)
end

function M.connect(call)
  local address = call.args ~= "" and call.args or M.config.kernel
  M.leave()
  local rpc, file = start_server(), state.files[address] or take_file(address, 1)
  if not rpc then return end
  state.rpc, state.address, state.files[address] = rpc, address, file
  keep(file)
  local name = vim.loop.os_get_passwd().username .. " (Neovim" .. (file.number > 1 and " " .. file.number or "") .. ")"
  local params = { address = address, start = not address:find("[/:]"), session = file.session, name = name }
  rpc.request("connect", params, function(problem, told)
    if state.rpc ~= rpc then
      return
    elseif problem then
      say(problem.message)
      return M.leave()
    end
    state.kernel, state.session, file.session = told.kernel, told.session, told.session
    keep(file)
    M.show_output()
    pcall(vim.api.nvim_buf_set_name, state.buffer, "kernel://" .. told.name)
    write_line(("connected to %s as %s (%s)"):format(told.name, told.client_name, told.role))
    local since = told.cursor or told.last
    state.missed = since < told.last and told.last
    if state.missed then write_line("while you were away:") end
    M.request("kernel/acknowledge", { cursor = since }) -- also where it leaves before anything comes
    M.request("events/subscribe", { since = since, answers_prompts = true })
    vim.tbl_map(function(each) M.request(unpack(each, 1, 3)) end, state.later)
    state.later = {}
  end)
end

function M.leave()
  if state.rpc then
    state.rpc.notify("exit", vim.empty_dict())
  end
  vim.tbl_map(withdraw, vim.tbl_keys(state.prompts))
  state.rpc, state.kernel, state.address, state.later = nil, nil, nil, {}
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
  local marker = "\\m^# \\=%%"
  local first, next_first = vim.fn.search(marker, "bcnW"), vim.fn.search(marker, "nW")
  send_lines(math.max(first, 1), next_first - 1) -- the last is -1 where none comes
end

function M.send_file()
  vim.cmd("silent update")
  M.show_output()
  M.request("kernel/execute", { code = "# " .. vim.fn.expand("%:t"), source = { path = vim.fn.expand("%:p") } })
end

function M.interrupt() M.request("kernel/interrupt") end

function M.restart() M.request("kernel/restart") end

-- ---------------------------------------------------------------- looking

-- The lines around the cursor as code, and where in them it stands.
local function code_here()
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local lines = vim.api.nvim_buf_get_lines(0, 0, row, false)
  local code = table.concat(lines, "\n")
  return code, (vim.str_utfindex(code, #code - #lines[row] + column))
end

function M.omnifunc(find_start)
  if find_start == 0 then return {} end
  local code, cursor = code_here()
  local line, place = vim.api.nvim_get_current_line(), vim.api.nvim_win_get_cursor(0)
  M.request("kernel/complete", { code = code, cursor = cursor }, function(found)
    if vim.fn.mode() ~= "i" or not vim.deep_equal(place, vim.api.nvim_win_get_cursor(0)) then
      return
    end
    local start = vim.str_byteindex(line, vim.str_utfindex(line, place[2]) - (cursor - found.start))
    vim.fn.complete(start + 1, vim.tbl_map(function(item)
      return { word = item.text, kind = item.kind:sub(1, 1), menu = item.kind }
    end, found.items))
  end)
  return -2 -- it goes on without, until there is an answer
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
    float(found[1] and found[1].name .. found[1].text or "nothing is called here")
  end)
end

-- ---------------------------------------------------------------- variables

-- Show what is in a variable, or all; behind a thousand, a line for more.
local function open(parent, window)
  local start = parent.start or 0
  local params = { path = parent.path, start = start, count = PAGE }
  M.request(parent.path and "kernel/children" or "kernel/variables", params, function(found)
    local items = found.items or found
    if #items == PAGE and start + PAGE ~= found.count then
      table.insert(items, { has_children = true, name = "… more", path = parent.path, start = start + PAGE })
    end
    local lines = vim.tbl_map(function(item)
      local value = item.type and ": " .. item.type .. " = " .. item.preview or ""
      return ((item.has_children and "+ " or "  ") .. item.name .. value):gsub("\n", " ")
    end, items)
    local buffer = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_lines(buffer, 0, -1, false, #lines > 0 and lines or { "(nothing)" })
    vim.bo[buffer].bufhidden, vim.bo[buffer].modifiable = "wipe", false
    if not (window and vim.api.nvim_win_is_valid(window)) then
      vim.cmd("vertical botright split")
      window = vim.api.nvim_get_current_win()
    end
    vim.api.nvim_win_set_buf(window, buffer)
    vim.api.nvim_buf_set_name(buffer, "kernel-variables://" .. buffer .. "/" .. (parent.path or "all"))
    vim.keymap.set("n", "-", M.variables, { buffer = buffer })
    vim.keymap.set("n", "<CR>", function()
      local item = items[vim.api.nvim_win_get_cursor(window)[1]]
      if item and item.has_children then
        open(item, window)
      end
    end, { buffer = buffer })
  end)
end

function M.variables()
  local is_page = vim.api.nvim_buf_get_name(0):match("^kernel%-variables:")
  open({}, is_page and vim.api.nvim_get_current_win())
end

function M.setup(config) M.config = vim.tbl_extend("force", M.config, config or {}) end

M.state = state
return M
