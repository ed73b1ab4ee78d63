"""The HTTP API: two applications of one process; bodies are the Structs of ``copernicus.protocol``.

Machine port (mutual TLS, ``application/msgpack``)::

    POST /v1/work/lease               LeaseRequest       -> LeaseReply
    POST /v1/work/leave               nothing            -> 204
    POST /v1/work/tell                ServerCounts       -> ServerCounts  (peers only)
    POST /v1/work/heartbeat           HeartbeatRequest   -> HeartbeatReply
    POST /v1/work/checkpoint          CheckpointRequest  -> 204
    POST /v1/work/partial             PartialRequest     -> 204
    POST /v1/work/result              ResultRequest      -> ResultReply
    POST /v1/work/results             ResultsRequest     -> ResultsReply
    POST /v1/work/renew               RenewRequest       -> Certificate
    POST /v1/work/blobs/missing       MissingRequest     -> MissingReply
    PUT  /v1/work/chunks/{sha256}     raw bytes          -> 204
    POST /v1/work/blobs               BlobManifest       -> 204   (commit)
    GET  /v1/work/blobs/{sha256}      (Range)            -> raw bytes

User port (TLS, ``application/json``; ``Authorization: Bearer TOKEN`` but for the first five)::

    GET  /v1/health                                      -> Health
    POST /v1/login                    LoginRequest       -> LoginReply
    POST /v1/join                     JoinRequest        -> Certificate
    POST /v1/renew                    RenewRequest       -> Certificate
    GET  /                            pages of the web interface
    POST /v1/logout                                      -> 204
    GET  /v1/me                                          -> UserView
    PUT  /v1/me/password              NewPassword        -> 204
    GET  /v1/me/token                 (the one in use)   -> TokenView
    GET  /v1/me/tokens                                   -> [TokenView]
    POST /v1/me/tokens                NewToken           -> TokenReply
    DELETE /v1/me/tokens/{id}                            -> 204
    GET  /v1/users                                       -> [UserView]
    POST /v1/users                    NewUser            -> UserView
    PUT  /v1/users/{name}/password    NewPassword        -> 204
    PUT  /v1/users/{name}/admin       AdminRight         -> UserView
    GET  /v1/users/{name}/tokens                         -> [TokenView]
    DELETE /v1/users/{name}/tokens/{id}                  -> 204
    DELETE /v1/users/{name}                              -> 204
    GET  /v1/audit?actor=&action=...  (newest first)     -> [AuditView]
    GET  /v1/audit/chain?number=                         -> AuditChain
    POST /v1/bundles                  BundleRequest      -> BundleReply
    GET  /v1/join-tokens                                 -> [JoinTokenView]
    DELETE /v1/join-tokens/{id}?workers=  (revoke)       -> JoinTokenView
    GET  /v1/workers                                     -> [WorkerView]
    POST /v1/workers/{id}/drain                          -> 204
    DELETE /v1/workers/{id}           (revoke)           -> 204
    GET  /v1/servers                  (with peers)       -> ServersPicture
    GET  /v1/pools                                       -> [PoolView]
    PUT  /v1/pools/{name}             PoolChange         -> [PoolView]
    GET  /v1/functions                                   -> [FunctionView]
    GET  /v1/functions/{name}                            -> FunctionView
    GET  /v1/jobs?project=            (all visible)      -> [JobView]
    GET  /v1/projects                                    -> [ProjectView]
    POST /v1/projects                 NewProject         -> ProjectView
    POST /v1/loads                    LoadRequest        -> ProjectView
    (below /v1/loads the same /blobs and /chunks routes as below a project)

``{project}`` is an id or a name; below ``/v1/projects/{project}``::

    GET, DELETE                                          -> ProjectView, 204
    PUT  /members                     Member             -> ProjectView
    PUT  /share                       ShareChange        -> ProjectView
    PUT  /jobs/{job}/priority         JobPriority        -> JobView
    DELETE /members/{user}                               -> ProjectView
    POST /edits                       EditRequest        -> EditReply
    GET  /functions                   (of the project)   -> [FunctionView]
    GET  /instances                                      -> [InstanceView]
    GET  /instance?path=&start=&count=                   -> InstanceDetail
    GET  /value?path=                                    -> ValueView
    GET  /trace?path=&depth=                             -> Trace
    GET  /saved                       (protocol.saved)   -> frames
    GET  /why?path=                                      -> WhyView
    POST /reproductions               ReproduceRequest   -> ReproductionView
    GET  /reproductions/{job}                            -> ReproductionView
    GET  /history                                        -> [RevisionView]
    GET  /jobs                                           -> [JobView]
    GET  /jobs/{job}?watch=           (with ``why``)     -> JobView
    GET  /ended-jobs?older=&count=    (newest first)     -> JobPage
    GET  /partial?path=&wait_s=       (of running jobs)  -> [PartialView]
    GET  /series?path=&wait_s=        (CSV files)        -> [PartialView]
    GET  /journal?since=&limit=                          -> [FeedEntry]
    GET  /events?since=               (or Last-Event-ID) -> server-sent FeedEntry
    POST /blobs/missing               MissingRequest     -> MissingReply
    PUT  /chunks/{sha256}             raw bytes          -> 204
    POST /blobs                       BlobManifest       -> 204   (commit)
    GET  /blobs/{sha256}?name=        (Range)            -> raw bytes

Every refusal is an ``ErrorBody`` with the status of its class in ``errors.py``.
"""
