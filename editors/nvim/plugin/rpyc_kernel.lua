for name, does in pairs({
  Kernel = { "connect", "connect to a kernel, and start it if there is none", { nargs = "?" } },
  KernelSend = { "send", "run the lines that are selected, or the cell", { range = true } },
  KernelFile = { "send_file", "run the file as a program" },
  KernelInterrupt = { "interrupt", "interrupt what runs" },
  KernelRestart = { "restart", "begin with a new namespace" },
  KernelVariables = { "variables", "list the variables" },
  KernelHover = { "hover", "what is known of what stands at the cursor" },
  KernelSignature = { "signature", "how what is called here wants to be called" },
  KernelOutput = { "show_output", "open the window of output" },
  KernelAnswer = { "answer", "ask again what was left to others" },
  KernelLeave = { "leave", "leave the kernel, which goes on" },
}) do
  vim.api.nvim_create_user_command(name, function(call)
    require("rpyc_kernel")[does[1]](call)
  end, vim.tbl_extend("force", { desc = does[2] }, does[3] or {}))
end

local completes = "setlocal omnifunc=v:lua.require'rpyc_kernel'.omnifunc"
vim.api.nvim_create_autocmd("FileType", { pattern = "python", command = completes })
for _, buffer in ipairs(vim.api.nvim_list_bufs()) do -- this may be loaded late
  if vim.bo[buffer].filetype == "python" then
    vim.api.nvim_buf_call(buffer, function() vim.cmd(completes) end)
  end
end
