;;; rpyc-kernel.el --- One live Python that you share, leave, and come back to  -*- lexical-binding: t; -*-

;; Package-Requires: ((emacs "28.1"))
;; Keywords: languages, processes, python

;;; Commentary:

;; A front end of rpyc_kernel, over `rpyc-kernel serve --stdio'.  M-x rpyc-kernel connects; `rpyc-kernel-mode' gives
;; Python buffers their keys.  See the README beside this file.

;;; Code:

(require 'ansi-color)
(require 'cl-lib)
(require 'jsonrpc)
(require 'subr-x)
(require 'tabulated-list)

(defgroup rpyc-kernel nil "One live Python that is shared." :group 'python)

(defcustom rpyc-kernel-command '("rpyc-kernel")
  "The program, and what comes before `serve'."
  :type '(repeat string))

(defcustom rpyc-kernel-name "default"
  "The kernel that is offered first: a name, a connect string or an address."
  :type 'string)

(defcustom rpyc-kernel-patience 1.0
  "For how many seconds completion waits for the kernel."
  :type 'number)

(defvar rpyc-kernel--connection nil "The connection to the server, or nil.")
(defvar rpyc-kernel--kernel nil "What the server calls the kernel, nil until it is connected.")
(defvar rpyc-kernel--session nil "The id of this session.")
(defvar rpyc-kernel--output nil "The buffer of output.")
(defvar rpyc-kernel--address nil "The address of the kernel, nil when it was left.")
(defvar rpyc-kernel--later nil "The requests for when it is connected, the last one first.")
(defvar rpyc-kernel--files nil "The files that keep this Emacs's sessions, by the addresses.")
(defvar rpyc-kernel--prompts nil "What waits for an answer, by the executions that ask.")
(defvar rpyc-kernel--asked nil "The execution whose prompt is in the minibuffer.")
(defvar rpyc-kernel--missed nil "The number of the last event that was missed.")

;;;; Output

(defun rpyc-kernel--buffer ()
  "Return the buffer of output."
  (unless (buffer-live-p rpyc-kernel--output)
    (setq rpyc-kernel--output (get-buffer-create "*kernel*"))
    (with-current-buffer rpyc-kernel--output
      (special-mode)
      (setq-local window-point-insertion-type t scroll-conservatively 101)))
  rpyc-kernel--output)

(defun rpyc-kernel-show-output ()
  "Show the output beside the code."
  (interactive)
  (display-buffer (rpyc-kernel--buffer)))

(defun rpyc-kernel--write (text)
  "Show TEXT behind all that was shown, with its colours."
  (with-current-buffer (rpyc-kernel--buffer)
    (let* ((inhibit-read-only t)
           (windows (cl-remove-if-not (lambda (window) (= (window-point window) (point-max)))
                                      (get-buffer-window-list nil nil t))))
      (save-excursion
        (goto-char (point-max))
        (let ((start (point)))
          (insert (ansi-color-apply text))
          ;; What a carriage return has written over is gone.
          (pcase-dolist (`(,written . ,left) '(("\r+\n" . "\n") ("^.*\r\\([^\n\r]\\)" . "\\1")))
            (goto-char start)
            (beginning-of-line)
            (while (re-search-forward written nil t) (replace-match left)))))
      (dolist (window windows) (set-window-point window (point-max))))))

(defun rpyc-kernel--write-line (format &rest arguments)
  "Show a line of its own, of FORMAT and ARGUMENTS."
  (with-current-buffer (rpyc-kernel--buffer)
    (let ((is-mid-line (save-excursion (goto-char (point-max)) (not (bolp)))))
      (rpyc-kernel--write (concat (if is-mid-line "\n" "") (apply #'format format arguments) "\n")))))

(defun rpyc-kernel--write-data (event)
  "Show what EVENT holds: its text, and the types of pictures."
  (let* ((data (plist-get event :data))
         (types (cl-loop for (key _) on data by #'cddr collect (substring (symbol-name key) 1)))
         (picture (cl-find "image/" types :test #'string-prefix-p))
         (text (plist-get data :text/plain)))
    (rpyc-kernel--write-line "%s" (cond (picture (format "<%s%s>" picture (if text (concat ", " text) "")))
                                        (text)
                                        (t (format "<%s>" (string-join types ", ")))))))

;;;; Events

(defun rpyc-kernel--take-event (event)
  "Show EVENT."
  (let ((execution (plist-get event :execution)))
    (pcase (plist-get event :kind)
      ("queued" (rpyc-kernel--write-line
                 "%s[%s] %s"
                 (if (equal (plist-get event :session) rpyc-kernel--session) "" (concat (plist-get event :name) " "))
                 execution
                 (replace-regexp-in-string "\n" "\n    " (string-trim-right (plist-get event :code)))))
      ("stream" (rpyc-kernel--write (plist-get event :text)))
      ((or "display" "page" "result") (rpyc-kernel--write-data event))
      ("error" (rpyc-kernel--write-line "%s" (plist-get event :traceback)))
      ("input_requested" (rpyc-kernel--write-line "[%s] asks: %s" (or execution "") (plist-get event :prompt)))
      ("input_answered" (rpyc-kernel--withdraw execution))
      ("finished"
       (rpyc-kernel--withdraw execution)
       (unless (member (plist-get event :outcome) '("ok" "error"))
         (rpyc-kernel--write-line "[%s] %s %s" execution (plist-get event :outcome) (or (plist-get event :reason) ""))))
      ("worker_died" (rpyc-kernel--write-line "the worker has ended: %s" (plist-get event :reason)))
      ("worker_started"
       (when (> (plist-get event :generation) 1)
         (rpyc-kernel--write-line "a new worker has started, with a new namespace"))))))

(defun rpyc-kernel--take-prompt (_connection _method prompt)
  "Have the user asked PROMPT; the server waits for no person."
  (setf (alist-get (plist-get prompt :execution) rpyc-kernel--prompts) prompt)
  (run-at-time 0 nil #'rpyc-kernel--ask prompt)
  (jsonrpc-error :code -32800 :message "answered by kernel/answer_input"))

(defun rpyc-kernel--ask (prompt)
  "Ask the user PROMPT, unless it is over; one at a time."
  (let* ((execution (plist-get prompt :execution))
         (waits (lambda () (eq prompt (alist-get execution rpyc-kernel--prompts)))))
    (cond ((not (funcall waits)))
          ((active-minibuffer-window) (run-at-time 0.2 nil #'rpyc-kernel--ask prompt))
          (t (let* ((rpyc-kernel--asked execution)
                    (text (condition-case nil
                              (funcall (if (eq (plist-get prompt :password) t) #'read-passwd #'read-string)
                                       (concat (plist-get prompt :prompt) " "))
                            (quit nil))))
               (when (and text (funcall waits)) ; else it is left to others, or one was quicker
                 (rpyc-kernel--request "kernel/answer_input" (list :execution execution :text text))))))))

(defun rpyc-kernel-answer ()
  "Ask again what was left to others."
  (interactive)
  (pcase-dolist (`(,_ . ,prompt) rpyc-kernel--prompts) (run-at-time 0 nil #'rpyc-kernel--ask prompt)))

(defun rpyc-kernel--withdraw (execution)
  "Nobody waits any more for what EXECUTION asked."
  (setq rpyc-kernel--prompts (assq-delete-all execution rpyc-kernel--prompts))
  (when (and execution (eq execution rpyc-kernel--asked))
    (run-at-time 0 nil (lambda () (when (active-minibuffer-window) (abort-recursive-edit))))))

(defun rpyc-kernel--notice (connection method params)
  "Take the notification METHOD with PARAMS of CONNECTION, unless that was left."
  (pcase (and (eq connection rpyc-kernel--connection) method)
    ('events
     (seq-doseq (event (plist-get params :events))
       (rpyc-kernel--take-event event)
       (when (eql (plist-get event :seq) rpyc-kernel--missed) (rpyc-kernel--write-line "and this is now")))
     (jsonrpc-notify connection 'kernel/acknowledge (list :cursor (plist-get params :cursor))))
    ('connection
     (cond ((eq (plist-get params :is_connected) t) (rpyc-kernel--write-line "connected again"))
           (t (rpyc-kernel--write-line "connection: %s" (plist-get params :message))
              (when (eq (plist-get params :is_closed) t) (rpyc-kernel-leave)))))))

;;;; The server

(defun rpyc-kernel--start-server ()
  "Start the server, and return the connection to it."
  (unless (executable-find (car rpyc-kernel-command))
    (user-error "%s is not found: install rpyc-kernel, or set `rpyc-kernel-command'" (car rpyc-kernel-command)))
  (make-instance 'jsonrpc-process-connection
                 :name "rpyc-kernel" :events-buffer-scrollback-size 0
                 :notification-dispatcher #'rpyc-kernel--notice
                 :request-dispatcher #'rpyc-kernel--take-prompt
                 :on-shutdown (lambda (connection)
                                (when (eq connection rpyc-kernel--connection)
                                  (setq rpyc-kernel--address (prog1 rpyc-kernel--address (rpyc-kernel-leave)))
                                  (rpyc-kernel--write-line "the server has ended; the next command starts it again")))
                 :process (lambda ()
                            (make-process :name "rpyc-kernel" :connection-type 'pipe :noquery t
                                          :coding 'utf-8-emacs-unix
                                          :command (append rpyc-kernel-command '("serve" "--stdio"))
                                          :stderr (get-buffer-create " *rpyc-kernel stderr*")))))

(defun rpyc-kernel--request (method &optional params take)
  "Ask for METHOD with PARAMS once connected, and call TAKE with the result."
  (unless rpyc-kernel--connection
    (rpyc-kernel (or rpyc-kernel--address (user-error "Not connected: use M-x rpyc-kernel first"))))
  (if rpyc-kernel--kernel
      (rpyc-kernel--send method (append (list :kernel rpyc-kernel--kernel) params) (or take #'ignore))
    (push (list method params take) rpyc-kernel--later)))

(defun rpyc-kernel--send (method params take)
  "Send the request METHOD with PARAMS, and call TAKE with the result."
  (let* ((connection rpyc-kernel--connection)
         (is-there (lambda () (eq connection rpyc-kernel--connection))))
    (jsonrpc-async-request
     connection (intern method) params :timeout 86400
     :success-fn (lambda (result) (when (funcall is-there) (funcall take result)))
     :error-fn (lambda (problem)
                 (message "rpyc-kernel: %s" (plist-get problem :message))
                 (when (and (funcall is-there) (not rpyc-kernel--kernel)) (rpyc-kernel-leave))))))

(defun rpyc-kernel--ask-now (method params)
  "The result of METHOD with PARAMS, nil where none comes in time."
  (when rpyc-kernel--kernel
    (condition-case nil
        (jsonrpc-request rpyc-kernel--connection (intern method) (append (list :kernel rpyc-kernel--kernel) params)
                         :timeout rpyc-kernel-patience :cancel-on-input t)
      (jsonrpc-error nil))))

(defun rpyc-kernel--take-file (address number)
  "The file of a session at ADDRESS, its number from NUMBER on, and its id.
It is the first whose Emacs is gone: who was killed comes back."
  (let* ((name (format "rpyc-kernel/%s-%d" (secure-hash 'sha256 address) number)) ; the address may hold a secret
         (file (locate-user-emacs-file name))
         (kept (and (file-exists-p file) (split-string (with-temp-buffer (insert-file-contents file) (buffer-string)))))
         (pid (string-to-number (or (car kept) ""))))
    (if (and kept (/= pid (emacs-pid)) (eql 0 (signal-process pid 0)))
        (rpyc-kernel--take-file address (1+ number))
      (list file number (cadr kept)))))

(defun rpyc-kernel--keep (file session)
  "Keep in FILE that this Emacs has SESSION."
  (with-file-modes #o700 (make-directory (file-name-directory file) t))
  (write-region (format "%d %s\n" (emacs-pid) (or session "")) nil file nil 'silently))

;;;###autoload
(defun rpyc-kernel (address)
  "Connect to the kernel at ADDRESS; a name is started if there is none."
  (interactive (list (read-string "Kernel: " nil t rpyc-kernel-name)))
  (rpyc-kernel-leave)
  (setq rpyc-kernel--connection (rpyc-kernel--start-server) rpyc-kernel--address address)
  (pcase-let* ((kept (or (assoc address rpyc-kernel--files)
                         (car (push (cons address (rpyc-kernel--take-file address 1)) rpyc-kernel--files))))
               (`(,_ ,file ,number ,session) kept))
    (rpyc-kernel--keep file session)
    (rpyc-kernel--send
     "connect" (list :address address :start (if (string-match-p "[/:]" address) :json-false t) :session session
                     :name (format "%s (Emacs%s)" (user-login-name) (if (> number 1) (format " %d" number) "")))
     (lambda (told)
       (setq rpyc-kernel--kernel (plist-get told :kernel) rpyc-kernel--session (plist-get told :session))
       (rpyc-kernel--keep file (setf (nth 3 kept) rpyc-kernel--session))
       (rpyc-kernel-show-output)
       (rpyc-kernel--write-line "connected to %s as %s (%s)" (plist-get told :name) (plist-get told :client_name)
                                (plist-get told :role))
       (let* ((last (plist-get told :last)) (since (or (plist-get told :cursor) last)))
         (setq rpyc-kernel--missed (and (< since last) last))
         (when rpyc-kernel--missed (rpyc-kernel--write-line "while you were away:"))
         (rpyc-kernel--request "kernel/acknowledge" (list :cursor since)) ; also where it leaves before anything comes
         (rpyc-kernel--request "events/subscribe" (list :since since :answers_prompts t)))
       (dolist (each (nreverse (cl-shiftf rpyc-kernel--later nil))) (apply #'rpyc-kernel--request each))))))

(defun rpyc-kernel-leave ()
  "Leave the kernel, which goes on."
  (interactive)
  (let ((connection rpyc-kernel--connection))
    (mapc #'rpyc-kernel--withdraw (mapcar #'car rpyc-kernel--prompts))
    (setq rpyc-kernel--connection nil rpyc-kernel--kernel nil rpyc-kernel--address nil rpyc-kernel--later nil)
    (when (and connection (jsonrpc-running-p connection))
      (jsonrpc-notify connection 'exit nil))))

;;;; Running

(defun rpyc-kernel-send-region (start end)
  "Run the code between START and END."
  (interactive "r")
  (rpyc-kernel-show-output)
  (rpyc-kernel--request
   "kernel/execute"
   (list :code (buffer-substring-no-properties start end)
         :source (and buffer-file-name (list :file buffer-file-name :first_line (line-number-at-pos start t))))))

(defun rpyc-kernel-send-cell ()
  "Run the cell at point; `# %%' begins one."
  (interactive)
  (save-excursion
    (end-of-line)
    (let ((start (if (re-search-backward "^# ?%%" nil t) (point) (point-min))))
      (forward-line)
      (rpyc-kernel-send-region start (if (re-search-forward "^# ?%%" nil t) (match-beginning 0) (point-max))))))

(defun rpyc-kernel-send-file ()
  "Run the buffer's file as a program."
  (interactive)
  (save-buffer)
  (rpyc-kernel-show-output)
  (rpyc-kernel--request "kernel/execute"
                        (list :code (concat "# " (buffer-name)) :source (list :path buffer-file-name))))

(defun rpyc-kernel-interrupt ()
  "Interrupt what runs."
  (interactive)
  (rpyc-kernel--request "kernel/interrupt"))

(defun rpyc-kernel-restart ()
  "Begin with a new namespace."
  (interactive)
  (rpyc-kernel--request "kernel/restart"))

;;;; Looking

(defun rpyc-kernel--here ()
  "The code up to the end of this line, and the place of point in it."
  (list :code (buffer-substring-no-properties (point-min) (line-end-position)) :cursor (- (point) (point-min))))

(defun rpyc-kernel-completion-at-point ()
  "Complete with live objects; for `completion-at-point-functions'."
  (when-let ((found (rpyc-kernel--ask-now "kernel/complete" (rpyc-kernel--here))))
    (let ((items (mapcar (lambda (item) (propertize (plist-get item :text) 'kind (plist-get item :kind)))
                         (plist-get found :items))))
      (list (+ (point-min) (plist-get found :start)) (+ (point-min) (plist-get found :end)) items :exclusive 'no
            :annotation-function (lambda (text) (concat " " (get-text-property 0 'kind text)))))))

(defun rpyc-kernel-eldoc (tell &rest _)
  "TELL how to call what is called here; for `eldoc-documentation-functions'."
  (when rpyc-kernel--kernel
    (rpyc-kernel--request "kernel/signatures" (rpyc-kernel--here)
                          (lambda (found)
                            (unless (seq-empty-p found)
                              (let ((first (elt found 0)))
                                (funcall tell (concat (plist-get first :name) (plist-get first :text)))))))
    t))

(defun rpyc-kernel-help ()
  "Show what is known of what stands at point."
  (interactive)
  (rpyc-kernel--request
   "kernel/inspect" (append (rpyc-kernel--here) '(:source :json-false))
   (lambda (found)
     (with-help-window "*kernel help*"
       (princ (if (eq (plist-get found :found) t)
                  (format "%s%s: %s\n\n%s\n\n%s" (plist-get found :name) (plist-get found :signature)
                          (plist-get found :type) (plist-get found :preview) (plist-get found :doc))
                (format "nothing is known of %s" (plist-get found :name))))))))

;;;; Variables

(defvar rpyc-kernel-variables-mode-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "RET") #'rpyc-kernel-open-variable)
    (define-key map "^" #'rpyc-kernel-variables)
    map))

(define-derived-mode rpyc-kernel-variables-mode tabulated-list-mode "Variables"
  "Variables of a kernel; RET opens one, ^ lists all."
  (setq tabulated-list-format [("Name" 24 t) ("Type" 18 t) ("Value" 0 nil)])
  (tabulated-list-init-header))

(defun rpyc-kernel-variables (&optional place)
  "List the variables, or what is at PLACE: a path and the first of a hundred."
  (interactive)
  (pcase-let ((`(,path ,start) (or place '(nil 0))))
    (rpyc-kernel--request
     (if path "kernel/children" "kernel/variables")
     (append (and path (list :path path)) (list :start start :count 100))
     (lambda (found)
       (let* ((items (if path (plist-get found :items) found)) (end (+ start (length items))))
         (with-current-buffer (get-buffer-create "*kernel variables*")
           (rpyc-kernel-variables-mode)
           (setq tabulated-list-entries
                 (mapcar (lambda (item)
                           (list (list (plist-get item :path) 0)
                                 (vector (plist-get item :name) (plist-get item :type)
                                         (replace-regexp-in-string "\n" " " (plist-get item :preview)))))
                         items))
           (when (and (= (length items) 100) (not (eql end (and path (plist-get found :count)))))
             (nconc tabulated-list-entries (list (list (list path end) ["… more" "" ""]))))
           (tabulated-list-print)
           (pop-to-buffer (current-buffer))))))))

(defun rpyc-kernel-open-variable ()
  "Show what is in the variable at point."
  (interactive)
  (rpyc-kernel-variables (tabulated-list-get-id)))

;;;; The mode

(defvar rpyc-kernel-mode-map
  (let ((map (make-sparse-keymap)))
    (pcase-dolist (`(,key . ,command)
                   '(("C-c C-c" . rpyc-kernel-send-cell) ("C-c C-r" . rpyc-kernel-send-region)
                     ("C-c C-l" . rpyc-kernel-send-file) ("C-c C-k" . rpyc-kernel-interrupt)
                     ("C-c C-d" . rpyc-kernel-help) ("C-c C-v" . rpyc-kernel-variables)
                     ("C-c C-z" . rpyc-kernel-show-output)))
      (define-key map (kbd key) command))
    map))

;;;###autoload
(define-minor-mode rpyc-kernel-mode
  "Run this buffer's code in a kernel, and complete with its live objects."
  :lighter " Kernel"
  (if rpyc-kernel-mode
      (progn (add-hook 'completion-at-point-functions #'rpyc-kernel-completion-at-point -10 t)
             (add-hook 'eldoc-documentation-functions #'rpyc-kernel-eldoc -10 t))
    (remove-hook 'completion-at-point-functions #'rpyc-kernel-completion-at-point t)
    (remove-hook 'eldoc-documentation-functions #'rpyc-kernel-eldoc t)))

(add-hook 'kill-emacs-hook #'rpyc-kernel-leave)

(provide 'rpyc-kernel)
;;; rpyc-kernel.el ends here
