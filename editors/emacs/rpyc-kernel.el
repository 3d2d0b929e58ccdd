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
(defvar rpyc-kernel--asking nil "The events of prompts that are shown or wait to be, by their executions.")
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

(defun rpyc-kernel--is-own (event)
  "Whether EVENT is of this session."
  (equal (plist-get event :session) rpyc-kernel--session))

(defun rpyc-kernel--take-event (event)
  "Show EVENT."
  (let ((execution (plist-get event :execution)))
    (pcase (plist-get event :kind)
      ("queued" (rpyc-kernel--write-line
                 "%s[%s] %s" (if (rpyc-kernel--is-own event) "" (concat (plist-get event :name) " ")) execution
                 (replace-regexp-in-string "\n" "\n    " (string-trim-right (plist-get event :code)))))
      ("stream" (rpyc-kernel--write (plist-get event :text)))
      ((or "display" "page" "result") (rpyc-kernel--write-data event))
      ("error" (rpyc-kernel--write-line "%s" (plist-get event :traceback)))
      ("input_requested"
       (if (rpyc-kernel--is-own event)
           (unless (assq execution rpyc-kernel--asking)
             (push (cons execution event) rpyc-kernel--asking)
             (run-at-time 0 nil #'rpyc-kernel--ask event))
         (rpyc-kernel--write-line "[%s] asks: %s" execution (plist-get event :prompt))))
      ("input_answered" (rpyc-kernel--stop-asking execution))
      ("finished"
       (rpyc-kernel--stop-asking execution)
       (unless (member (plist-get event :outcome) '("ok" "error"))
         (rpyc-kernel--write-line "[%s] %s %s" execution (plist-get event :outcome)
                                  (or (plist-get event :reason) ""))))
      ("worker_died" (rpyc-kernel--write-line "the worker has ended: %s" (plist-get event :reason)))
      ("worker_started"
       (when (> (plist-get event :generation) 1)
         (rpyc-kernel--write-line "a new worker has started, with a new namespace"))))))

(defun rpyc-kernel--ask (event)
  "Ask the user what EVENT asks, unless somebody else has answered."
  (let ((execution (plist-get event :execution)) text)
    (if (active-minibuffer-window)
        (run-at-time 0.2 nil #'rpyc-kernel--ask event) ; one question at a time
      (when (assq execution rpyc-kernel--asking)
        (let ((rpyc-kernel--asked execution))
          (setq text (condition-case nil
                         (funcall (if (eq (plist-get event :password) t) #'read-passwd #'read-string)
                                  (concat (plist-get event :prompt) " "))
                       (quit nil))))
        (when (and text (assq execution rpyc-kernel--asking)) ; else it is left to others, or one was quicker
          (rpyc-kernel--request "kernel/answer_input" (list :execution execution :text text)))
        (setq rpyc-kernel--asking (assq-delete-all execution rpyc-kernel--asking))))))

(defun rpyc-kernel--stop-asking (execution)
  "Nobody waits any more for what EXECUTION asked."
  (setq rpyc-kernel--asking (assq-delete-all execution rpyc-kernel--asking))
  (when (and (eq execution rpyc-kernel--asked) (active-minibuffer-window))
    (run-at-time 0 nil (lambda () (when (active-minibuffer-window) (abort-recursive-edit))))))

(defun rpyc-kernel--notice (_connection method params)
  "Take the notification METHOD with PARAMS."
  (pcase method
    ('events
     (seq-doseq (event (plist-get params :events))
       (rpyc-kernel--take-event event)
       (when (eql (plist-get event :seq) rpyc-kernel--missed) (rpyc-kernel--write-line "and this is now")))
     (let ((cursor (plist-get params :cursor)))
       (pcase-dolist (`(,_ . ,asked) rpyc-kernel--asking) ; who comes back is asked again
         (setq cursor (min cursor (1- (plist-get asked :seq)))))
       (jsonrpc-notify rpyc-kernel--connection 'kernel/acknowledge
                       (list :kernel (plist-get params :kernel) :cursor cursor))))
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
                 :on-shutdown (lambda (connection)
                                (when (eq connection rpyc-kernel--connection)
                                  (setq rpyc-kernel--connection nil rpyc-kernel--kernel nil rpyc-kernel--asking nil)
                                  (rpyc-kernel--write-line "the server has ended; M-x rpyc-kernel connects again")))
                 :process (lambda ()
                            (make-process :name "rpyc-kernel" :connection-type 'pipe :noquery t
                                          :coding 'utf-8-emacs-unix
                                          :command (append rpyc-kernel-command '("serve" "--stdio"))
                                          :stderr (get-buffer-create " *rpyc-kernel stderr*")))))

(defun rpyc-kernel--params (params)
  "PARAMS with the kernel that they are about."
  (append (and rpyc-kernel--kernel (list :kernel rpyc-kernel--kernel)) params))

(defun rpyc-kernel--request (method &optional params take)
  "Ask for METHOD with PARAMS, and call TAKE with the result."
  (unless rpyc-kernel--connection (user-error "Not connected: use M-x rpyc-kernel first"))
  (jsonrpc-async-request rpyc-kernel--connection (intern method) (rpyc-kernel--params params)
                         :success-fn (or take #'ignore) :timeout 86400
                         :error-fn (lambda (problem) (message "rpyc-kernel: %s" (plist-get problem :message)))))

(defun rpyc-kernel--ask-now (method params)
  "The result of METHOD with PARAMS, nil where none comes in time."
  (when rpyc-kernel--kernel
    (condition-case nil
        (jsonrpc-request rpyc-kernel--connection (intern method) (rpyc-kernel--params params)
                         :timeout rpyc-kernel-patience :cancel-on-input t)
      (jsonrpc-error nil))))

(defun rpyc-kernel--session-file (address)
  "Where the session in the kernel at ADDRESS is kept."
  (expand-file-name (secure-hash 'sha256 address) ; which may hold a secret
                    (locate-user-emacs-file "rpyc-kernel/")))

;;;###autoload
(defun rpyc-kernel (address)
  "Connect to the kernel at ADDRESS; a name is started if there is none."
  (interactive (list (read-string "Kernel: " nil t rpyc-kernel-name)))
  (rpyc-kernel-leave)
  (let* ((file (rpyc-kernel--session-file address))
         (known (and (file-exists-p file) (with-temp-buffer (insert-file-contents file) (buffer-string)))))
    (setq rpyc-kernel--connection (rpyc-kernel--start-server))
    (rpyc-kernel--request
     "connect" (list :address address :start (if (string-match-p "[/:]" address) :json-false t) :session known)
     (lambda (told)
       (setq rpyc-kernel--kernel (plist-get told :kernel) rpyc-kernel--session (plist-get told :session))
       (with-file-modes #o700 (make-directory (file-name-directory file) t))
       (with-temp-file file (insert rpyc-kernel--session))
       (rpyc-kernel-show-output)
       (rpyc-kernel--write-line "connected to %s as %s (%s)" (plist-get told :name) (plist-get told :client_name)
                                (plist-get told :role))
       (let ((cursor (plist-get told :cursor)) (last (plist-get told :last)))
         (setq rpyc-kernel--missed (and cursor (< cursor last) last)))
       (when rpyc-kernel--missed (rpyc-kernel--write-line "while you were away:"))
       (rpyc-kernel--request "events/subscribe" (list :resume (if (plist-get told :cursor) t :json-false)))))))

(defun rpyc-kernel-leave ()
  "Leave the kernel, which goes on."
  (interactive)
  (let ((connection rpyc-kernel--connection))
    (setq rpyc-kernel--connection nil rpyc-kernel--kernel nil rpyc-kernel--asking nil)
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

(defun rpyc-kernel--show-variables (items)
  "Show ITEMS."
  (with-current-buffer (get-buffer-create "*kernel variables*")
    (rpyc-kernel-variables-mode)
    (setq tabulated-list-entries
          (mapcar (lambda (item)
                    (list (plist-get item :path)
                          (vector (plist-get item :name) (plist-get item :type)
                                  (replace-regexp-in-string "\n" " " (plist-get item :preview)))))
                  items))
    (tabulated-list-print)
    (pop-to-buffer (current-buffer))))

(defun rpyc-kernel-variables ()
  "List the variables."
  (interactive)
  (rpyc-kernel--request "kernel/variables" nil #'rpyc-kernel--show-variables))

(defun rpyc-kernel-open-variable ()
  "Show what is in the variable at point."
  (interactive)
  (rpyc-kernel--request "kernel/children" (list :path (tabulated-list-get-id))
                        (lambda (page) (rpyc-kernel--show-variables (plist-get page :items)))))

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
